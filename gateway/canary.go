package gateway

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A Canary is a request of `uwgate check --via` as it came from nginx. It can be shown to
// others, as an Explanation can.
type Canary struct {
	Vars   [][2]string        `json:"vars"`
	Policy policy.Explanation `json:"policy"` // as if the response were the plainest page
}

// canaries are the requests that the gateway answers itself, because their vars contain a
// token that somebody has announced.
type canaries struct {
	expected atomic.Int32 // tokens; zero is the usual case, and costs a request nothing more

	mu    sync.Mutex // guards everything below
	all   map[string]*expectation
	bytes int // of the vars of all
}

// An expectation is the requests with one token.
type expectation struct {
	until time.Time
	came  []Canary
	bytes int // of their vars
}

const (
	minCanaryToken = 12 // no visitor's URL contains such a token by chance
	maxCanaryChars = 64
	canaryLife     = time.Minute // of a token
	maxTokens      = 16          // at once
	maxCanaries    = 512         // of one token: as many as `uwgate check` sends at most, and the one that is to miss
	maxCanaryBytes = 8 << 20     // of the vars of all tokens; a request has 2 kB as a rule, and 64 kB at most
)

// ErrTooManyCanaries says that others are checking the site already.
var ErrTooManyCanaries = errors.New("gateway: too many canaries are expected; try again in a minute")

// ErrCanaryToken says that a token is not one.
var ErrCanaryToken = errors.New("gateway: a canary's token has 12 to 64 lower-case hexadecimal digits")

// ExpectCanaries makes the gateway answer requests whose vars contain the token, for a
// minute. No worker sees them, and nothing is stored for them.
func (g *Gateway) ExpectCanaries(token string) error {
	if len(token) < minCanaryToken || len(token) > maxCanaryChars || strings.Trim(token, "0123456789abcdef") != "" {
		return ErrCanaryToken
	}
	c := &g.canaries
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetOld(time.Now())
	if _, known := c.all[token]; !known && len(c.all) >= maxTokens {
		return ErrTooManyCanaries
	}
	if c.all == nil {
		c.all = map[string]*expectation{}
	}
	c.forget(token)
	c.all[token] = &expectation{until: time.Now().Add(canaryLife)}
	c.expected.Store(int32(len(c.all)))
	return nil
}

// Canaries returns the requests with the token that have come, in their order. It returns
// false if nobody has announced the token, or more than a minute ago.
func (g *Gateway) Canaries(token string) ([]Canary, bool) {
	c := &g.canaries
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetOld(time.Now())
	e := c.all[token]
	if e == nil {
		return nil, false
	}
	return slices.Clone(e.came), true
}

func (c *canaries) forgetOld(now time.Time) {
	for token, e := range c.all {
		if now.After(e.until) {
			c.forget(token)
		}
	}
	c.expected.Store(int32(len(c.all)))
}

func (c *canaries) forget(token string) {
	if e := c.all[token]; e != nil {
		c.bytes -= e.bytes
		delete(c.all, token)
	}
}

// of returns the expectation that a request fulfills, or nil. mu must be held.
func (c *canaries) of(v uwsgi.Vars) *expectation {
	c.forgetOld(time.Now())
	for token, e := range c.all {
		if slices.ContainsFunc(v, func(x uwsgi.Var) bool { return strings.Contains(x.Value, token) }) {
			return e
		}
	}
	return nil
}

// take reports whether a request is a canary, and keeps what has come. Beyond the bounds it
// keeps nothing more, and the request is answered all the same.
func (c *canaries) take(p *policy.Policy, v uwsgi.Vars) bool {
	if c.expected.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.of(v)
	if e == nil {
		return false
	}
	size := 0
	for i := range v {
		size += len(v[i].Name) + len(v[i].Value)
	}
	if len(e.came) <= maxCanaries && c.bytes+size <= maxCanaryBytes {
		e.came = append(e.came, Canary{pairs(p.PublicVars(v)), explainCanary(p, v)})
		e.bytes, c.bytes = e.bytes+size, c.bytes+size
	}
	return true
}

// explainCanary explains what would become of a page without anything special.
func explainCanary(p *policy.Policy, v uwsgi.Vars) policy.Explanation {
	body := []byte("<p>A page</p>\n")
	page := &uwsgi.Response{StatusCode: 200, Reason: "OK", ContentLength: int64(len(body)), Header: uwsgi.Header{
		{Name: "Content-Type", Value: p.Hits.Type}, {Name: "Content-Length", Value: strconv.Itoa(len(body))},
	}}
	return p.Explain(v, page, body, true, false, time.Now())
}

// answerCanary answers a request that somebody has announced with ExpectCanaries.
func (x *exchange) answerCanary() (done bool, err error) {
	p := x.page.policy
	if !x.isVisit() || !x.g.canaries.take(p, x.client.received) {
		return false, nil
	}
	x.rec.key, x.rec.reason = p.Request(x.client.received).Key, policy.Canary
	x.client.sent.status = 200
	return true, x.client.write(canaryResponse(x.client.method))
}

func canaryResponse(method string) []byte {
	const body = "This is uwgate's response to a canary.\n"
	resp := uwsgi.Response{StatusCode: 200, Reason: "OK", Header: uwsgi.Header{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Content-Length", Value: strconv.Itoa(len(body))},
		{Name: "Cache-Control", Value: "no-store"},
		{Name: "Cache-Status", Value: "uwgate; detail=" + string(policy.Canary)},
	}}
	b := resp.AppendHead(nil)
	if method != "HEAD" {
		b = append(b, body...)
	}
	return b
}
