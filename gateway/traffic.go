package gateway

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/tally"
)

// A Saving is the requests for a host that had one reason, and what they cost. If the reason
// is one not to store, it is what could be saved.
type Saving struct {
	Host     string        `json:"host"` // tally.Other: all for which there was no room
	Reason   policy.Reason `json:"reason"`
	Stored   bool          `json:"stored,omitempty"` // it is a reason to store; with policy.Observe too
	Requests uint64        `json:"requests"`
	Seconds  float64       `json:"seconds"` // that workers were occupied
	Bytes    int64         `json:"bytes"`   // of the responses' bodies

	// What one of the requests shows: the sentence of a policy.Finding, the name of the
	// unknown cookie, header or var (empty: it is not about one), what to do (empty: what
	// docs/decisions.md says of the reason), and its URL.
	Detail string `json:"detail,omitempty"`
	Name   string `json:"name,omitempty"`
	Fix    string `json:"fix,omitempty"`
	URL    string `json:"url,omitempty"`
}

// A SlowRequest is one of the slowest requests of the last half hour to hour.
type SlowRequest struct {
	At        time.Time     `json:"at"` // when it ended
	Host      string        `json:"host"`
	Method    string        `json:"method"`
	URI       string        `json:"uri"`
	Status    int           `json:"status"`
	Pool      string        `json:"pool"`
	Backend   string        `json:"backend"`
	Reason    policy.Reason `json:"reason"`
	RequestID string        `json:"request_id,omitempty"`
	Queued    float64       `json:"queued"` // seconds, as the next two
	FirstByte float64       `json:"first_byte"`
	Took      float64       `json:"took"`
}

// traffic counts what requests cost by host and reason, and keeps the slowest. The zero value
// is ready. Hosts are what clients make up, so they are bounded; reasons are constants.
type traffic struct {
	hosts   tally.Table[costs]
	slowest tally.Slowest[SlowRequest]
}

// costs are those of a host by reason.
type costs map[policy.Reason]*cost

type cost struct {
	requests uint64
	worked   time.Duration
	bytes    int64
	stored   bool

	example     example
	exemplified time.Time // when example was set
	wanted      bool      // another example is welcome
}

// An example is one of the requests.
type example struct{ detail, name, fix, url string }

// exampleLife is how old an example gets before another one replaces it.
const exampleLife = time.Minute

// count adds a request.
func (t *traffic) count(r *record) {
	now := time.Now()
	if r.reason != "" {
		t.hosts.Do(r.host, now, func(c *costs) { c.count(r, now) })
	}
	if r.course.firstByte > 0 && t.slowest.Wants(r.course.took) {
		t.slowest.Add(r.course.took, now, func() SlowRequest { return slowRequest(r, now) })
	}
}

func (c *costs) count(r *record, now time.Time) {
	if *c == nil {
		*c = costs{}
	}
	n := (*c)[r.reason]
	if n == nil {
		n = &cost{}
		(*c)[r.reason] = n
	}
	n.requests++
	n.worked += r.course.worked
	n.bytes += r.bytes
	n.stored = r.ttl > 0
	n.wanted = now.Sub(n.exemplified) > exampleLife
}

// Add adds the costs of another host.
func (c *costs) Add(from *costs) {
	for reason, n := range *from {
		into := (*c)[reason]
		if into == nil {
			if *c == nil {
				*c = costs{}
			}
			into = &cost{}
			(*c)[reason] = into
		}
		into.requests += n.requests
		into.worked += n.worked
		into.bytes += n.bytes
		into.stored = n.stored
	}
}

func slowRequest(r *record, now time.Time) SlowRequest {
	return SlowRequest{
		At: now, Host: strings.Clone(r.host), Method: strings.Clone(r.method), URI: r.shownURI(), Status: r.status, Pool: r.course.pool, Backend: r.course.backend,
		Reason: r.reason, RequestID: strings.Clone(r.id), Queued: r.course.queued.Seconds(), FirstByte: r.course.firstByte.Seconds(), Took: r.course.took.Seconds(),
	}
}

// maxShownURI bounds a URI that is kept, in bytes.
const maxShownURI = 300

// shownURI is the URI as it may be kept.
func (r *record) shownURI() string {
	uri := r.uri
	if r.hideQuery {
		uri, _, _ = strings.Cut(uri, "?")
	}
	if len(uri) > maxShownURI {
		return uri[:maxShownURI] + "…"
	}
	return strings.Clone(uri)
}

// exemplify makes the request the example of those with its host and reason, if there is
// none that is young.
func (x *exchange) exemplify() {
	r := &x.rec
	if r.reason == "" || r.ttl > 0 {
		return
	}
	wanted, now := false, time.Now()
	x.g.traffic.hosts.Do(r.host, now, func(c *costs) {
		if n := (*c)[r.reason]; n != nil && n.wanted {
			n.wanted, n.exemplified, wanted = false, now, true
		}
	})
	if !wanted {
		return
	}
	p := x.page.policy
	e := example{url: r.host + r.shownURI()}
	for _, f := range p.Explain(x.client.received, x.page.resp, nil, true, false, now).Refusals {
		if f.Reason == r.reason {
			e.detail, e.fix = p.Bypass.Public(f.Detail), f.Fix
			break
		}
	}
	if r.hideQuery {
		e.detail = ""
	}
	if x.page.resp != nil {
		if name := p.AtFault(x.client.received, x.page.resp.Header, r.reason); len(name) <= maxUnknownName {
			e.name = strings.Clone(name)
		}
	}
	x.g.traffic.hosts.Do(r.host, now, func(c *costs) {
		if n := (*c)[r.reason]; n != nil {
			n.example = e
		}
	})
}

// Savings returns what requests have cost since the start, by host and reason, the most
// expensive first.
func (g *Gateway) Savings() []Saving {
	all := []Saving{}
	g.traffic.hosts.Each(func(host string, c *costs) {
		for reason, n := range *c {
			all = append(all, Saving{Host: host, Reason: reason, Stored: n.stored, Requests: n.requests, Seconds: n.worked.Seconds(), Bytes: n.bytes,
				Detail: n.example.detail, Name: n.example.name, Fix: n.example.fix, URL: n.example.url})
		}
	})
	slices.SortFunc(all, func(a, b Saving) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(b.Requests, a.Requests), strings.Compare(a.Host, b.Host), strings.Compare(string(a.Reason), string(b.Reason)))
	})
	return all
}

// Slowest returns the slowest requests of the last half hour to hour that a worker has
// responded to, the slowest first.
func (g *Gateway) Slowest() []SlowRequest { return g.traffic.slowest.All(time.Now()) }
