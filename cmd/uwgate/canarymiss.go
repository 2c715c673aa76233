package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"uwgate/gateway"
	"uwgate/gateway/policy"
)

// An arrival is what became of a request for a canary that is in no memcached.
type arrival struct {
	response
	came *gateway.Canary // as the gateway tells it; nil: it does not
}

// isOurs reports whether the request came to uwgate.
func (a *arrival) isOurs() bool { return a.came != nil || a.isGateways() }

// A liveMiss is what became of a canary that is in no memcached. Its JSON form is read by
// scripts.
type liveMiss struct {
	URL      string           `json:"url"`
	Status   int              `json:"status"`
	Answer   string           `json:"answer"`
	Through  bool             `json:"through"`  // the request came to uwgate
	Told     bool             `json:"told"`     // the running gateway told what nginx sent, which the next fields hold
	Key      string           `json:"key"`      // of the page, as the gateway has it
	Source   string           `json:"source"`   // of the key: nginx, template or none
	Lookup   string           `json:"lookup"`   // CACHE_STATUS
	Server   string           `json:"server"`   // CACHE_SERVER
	Refusals []policy.Finding `json:"refusals"` // why uwgate would not store the page
}

// miss requests a canary that is not written.
func (p *liveProof) miss(ctx context.Context, pr *probe) *arrival {
	a := &arrival{response: p.get(ctx, pr)}
	a.came = p.hearing.of(ctx, pr)
	pr.missed = a
	return a
}

// addMiss requests a canary that is not written, if none was requested yet, and adds to the
// report what became of it.
func (p *liveProof) addMiss(ctx context.Context, r *liveReport) {
	if p.missing == nil {
		if !r.hit() {
			return // what is wrong is known, and stands in the way of this canary, too
		}
		pr, err := p.newProbe()
		if err != nil {
			return
		}
		p.missing = pr
		p.miss(ctx, pr)
	}
	r.Miss = newLiveMiss(p.missing)
	if r.hit() {
		p.judgeMiss(r, p.missing)
	}
}

func newLiveMiss(pr *probe) *liveMiss {
	a := pr.missed
	m := &liveMiss{URL: pr.url(), Status: a.status, Answer: a.String(), Through: a.isOurs(), Refusals: []policy.Finding{}}
	if c := a.came; c != nil {
		m.Told, m.Key, m.Source = true, c.Policy.Key, c.Policy.KeySource
		m.Lookup, m.Server = varOf(c, "CACHE_STATUS"), varOf(c, "CACHE_SERVER")
		m.Refusals = append(m.Refusals, refusalsOf(c)...)
	}
	return m
}

// judgeRefusal judges a miss by the reason in uwgate's Cache-Status, and reports whether such
// pages are never stored. A canary's request forbids storing, which is the last reason that
// the gateway looks for in a request.
func (p *liveProof) judgeRefusal(r *liveReport, a *arrival) (isRefused bool) {
	reason := a.refusal()
	if reason == "" || dependsOnPage(reason) {
		return false
	}
	f := policy.Finding{Reason: reason, Detail: "the gateway's reason not to store the canary that missed; its --admin here tells more"}
	if needsGrant(reason) {
		r.warn("uwgate stores such pages only if their response grants a lifetime (%s)", reason)
		return false
	}
	r.neverStored([]policy.Finding{f})
	return true
}

// neverStored reports why pages like the canary are not stored.
func (r *liveReport) neverStored(why []policy.Finding) {
	r.is(offStore, "nginx serves hits, and misses come to uwgate, which stores none of them: %s", why[0].Reason)
	for _, f := range why {
		r.evidence("%s: %s", f.Reason, f.Detail)
		r.todo("%s", adviceOf(f))
	}
}

// refusalsOf returns why a page like the canary would not be stored: not because of what the
// canary's request has for its own protection, nor because of what depends on the page.
func refusalsOf(c *gateway.Canary) []policy.Finding {
	return slices.DeleteFunc(slices.Clone(c.Policy.Refusals), func(f policy.Finding) bool { return dependsOnPage(f.Reason) })
}

// dependsOnPage reports whether a reason is about the canary alone: its request, or the page
// of it.
func dependsOnPage(reason policy.Reason) bool {
	switch reason {
	case policy.RequestNoStore, policy.Observe, policy.ContentType, policy.Expired, policy.Canary:
		return true
	}
	return false
}

// judgeMiss judges a canary that is not written, after the others were hits.
func (p *liveProof) judgeMiss(r *liveReport, pr *probe) {
	switch a := pr.missed; {
	case !a.isOurs():
		p.lost(r, pr)
	case a.came == nil && p.judgeRefusal(r, a):
	case a.came == nil:
		r.Summary += "; a miss comes back through uwgate"
		if a.status >= http.StatusInternalServerError {
			r.warn("the miss came to uwgate, and the response is %d: see its log, and `uwgate status`, for what is wrong with the workers", a.status)
		}
		p.untoldMiss(r)
	default:
		r.Summary += "; a miss comes to uwgate, which knows its key"
		p.judgeTold(r, pr)
	}
}

// lost reports a miss that did not come to uwgate.
func (p *liveProof) lost(r *liveReport, pr *probe) {
	pr.response = pr.missed.response
	of := p.report(pr)
	r.URL, r.Key, r.Wire, r.Servers, r.Status, r.Answer = of.URL, of.Key, of.Wire, []string{}, of.Status, of.Answer
	p.explainLost(r, pr)
	r.is(offGateway, "nginx serves hits, but a page that is not in memcached does not come back through uwgate")
}

// explainLost adds why a request did not come to uwgate. The outcome is set for a canary that
// is not looked up either.
func (p *liveProof) explainLost(r *liveReport, pr *probe) {
	switch {
	case pr.response.err != nil:
		p.unreached(r, pr)
	case p.refusedBy(r, pr, pr.response):
	default:
		r.is(offGateway, "nginx responds with %d, and the request does not come to uwgate", pr.response.status)
		r.evidence("the response does not have uwgate's Cache-Status: it is nginx's own, that of a worker that nginx asks directly (a backup server, if uwgate cannot be reached), or something before nginx removes the field")
		p.before(r, pr.response)
		if p.findUnreachable(r) {
			break
		}
		p.whichServer(r, pr, pr.response)
		r.todo("see that nginx sends misses to uwgate: `uwgate check --nginx FILE` follows error_page to the uwsgi_pass")
	}
	if p.hearing.heard {
		r.evidence("the gateway at --admin %s did not get the request", p.hearing.api.Admin)
	}
}

// untoldMiss says what a miss has proven that came back without the gateway telling about it.
func (p *liveProof) untoldMiss(r *liveReport) {
	switch {
	case p.hearing.heard:
		r.warn("the miss came to another gateway than that at --admin %s", p.hearing.api.Admin)
	case p.hearing.err != nil:
		r.warn("the running gateway does not tell what nginx sent: %v", p.hearing.err)
	}
}

// judgeTold judges what nginx sent with a miss.
func (p *liveProof) judgeTold(r *liveReport, pr *probe) {
	c := pr.missed.came
	if key := c.Policy.Key; p.keyFixed && key != "" && key != pr.key {
		r.warn("the running gateway's key of %s is %s (%s), and not that of --key", pr.target, key, sourceOf(c.Policy.KeySource))
	}
	sure := slices.DeleteFunc(refusalsOf(c), func(f policy.Finding) bool { return needsGrant(f.Reason) })
	for _, f := range refusalsOf(c) {
		if needsGrant(f.Reason) {
			r.warn("uwgate stores such pages only if their response grants a lifetime (%s): %s", f.Reason, f.Detail)
		}
	}
	if len(sure) == 0 {
		return
	}
	r.neverStored(sure)
}

// needsGrant reports whether a page is stored in spite of a reason if its response has a
// lifetime of its own.
func needsGrant(reason policy.Reason) bool {
	switch reason {
	case policy.Cookie, policy.UnknownHeader, policy.UnknownVar, policy.Authorization:
		return true
	}
	return false
}

// sourceOf says in words where a key comes from.
func sourceOf(source string) string {
	switch source {
	case "nginx":
		return "handed over by nginx"
	case "template":
		return "made by uwgate"
	}
	return "there is none"
}

// asksKeys reports whether nginx is asked for the keys of canaries.
func (p *liveProof) asksKeys() bool { return p.keyless || p.hearing.heard && !p.keyFixed }

// askKeys requests all canaries before they are written, and learns the keys under which
// nginx looks for them: from the gateway, which gets them with the misses; or else from the
// memcacheds. It returns a report if that shows that something is wrong.
func (p *liveProof) askKeys(ctx context.Context, probes []*probe) (*liveReport, error) {
	first, err := p.newProbe()
	if err != nil {
		return nil, err
	}
	p.missing = first
	switch a := p.miss(ctx, first); {
	case a.err != nil || !a.isOurs():
		return p.reportLost(first), nil
	case a.came != nil && a.came.Policy.Key != "":
		return nil, p.askGateway(ctx, probes)
	case a.came != nil:
		r := p.report(first)
		r.is(liveHit, "")
		p.judgeTold(r, first)
		return p.withMiss(r), nil
	case p.keyless:
		return nil, p.askMemcached(ctx, probes)
	}
	return nil, nil // the template's keys will do
}

func (p *liveProof) withMiss(r *liveReport) *liveReport {
	r.Miss = newLiveMiss(p.missing)
	return r
}

// reportLost reports a canary that did not come to uwgate, before any was written.
func (p *liveProof) reportLost(pr *probe) *liveReport {
	pr.response = pr.missed.response
	r := p.report(pr)
	p.explainLost(r, pr)
	return p.withMiss(r)
}

// askGateway learns the keys from the gateway.
func (p *liveProof) askGateway(ctx context.Context, probes []*probe) error {
	for _, pr := range probes {
		pr.missed = &arrival{response: p.get(ctx, pr)}
	}
	if err := p.hearing.ofAll(ctx, probes); err != nil {
		return err
	}
	for i, pr := range probes {
		came := pr.missed.came
		if came == nil {
			return fmt.Errorf("--via: the gateway at --admin %s got one canary and not %s (nginx: %v); does nginx send misses to several gateways? Name all that take part in nginx's upstream block, one run each", p.hearing.api.Admin, pr.url(), pr.missed.response)
		}
		if err := p.setKey(pr, came.Policy.Key); err != nil {
			return err
		}
		if i > 0 && pr.key == probes[0].key {
			return sameKey(pr)
		}
	}
	return nil
}

// errKeyUnknown says that nothing told nginx's key.
var errKeyUnknown = errors.New("--via: only nginx can compute its key, and neither the gateway nor memcached tells it: " +
	"name the running gateway's --admin here, which tells the CACHE_KEY that nginx hands over; or give --key, as it is for that URL")

// askMemcached learns the keys from what the servers of --memcached are asked for. A key
// without the canary's URL in it cannot be recognized.
func (p *liveProof) askMemcached(ctx context.Context, probes []*probe) error {
	p.watch(ctx)
	for _, pr := range probes {
		if a := p.miss(ctx, pr); a.err != nil {
			return fmt.Errorf("--via: %s: %w", pr.url(), a.err)
		}
	}
	p.settle(ctx)
	for i, pr := range probes {
		own := p.lookups(pr)
		if len(own) == 0 {
			return errKeyUnknown
		}
		if err := p.setKey(pr, own[0].Key); err != nil {
			return err
		}
		if i > 0 && pr.key == probes[0].key {
			return sameKey(pr)
		}
	}
	return nil
}
