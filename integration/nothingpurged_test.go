package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"uwgate/demo/stack"
	"uwgate/gateway/purge"
	"uwgate/uwsgi"
)

// pressWays are how changes are purged in TestNothingOlder.
var pressWays = [...]string{"hard", "refresh", "soft", "soft, waits"}

// pressPurges counts the purges of one way.
type pressPurges struct{ done, kept, fetched atomic.Uint64 }

func (p *press) allPurges() (n uint64) {
	for i := range p.purged {
		n += p.purged[i].done.Load()
	}
	return n
}

// countPurges logs what was purged, and fails if that put nothing to the test.
func (p *press) countPurges(operations uint64) {
	p.t.Helper()
	for i := range p.purged {
		n := &p.purged[i]
		p.t.Logf("%d purges %s: %d pages kept, %d fetched while it waited", n.done.Load(), pressWays[i], n.kept.Load(), n.fetched.Load())
		if n.done.Load() < operations/500 || strings.HasPrefix(pressWays[i], "soft") && n.kept.Load() < operations/500 {
			p.t.Errorf("%s purges: nothing was put to the test", pressWays[i])
		}
	}
	if n := p.delayed.Load(); n < operations/1000 {
		p.t.Errorf("%d responses were late: nothing was put to the test", n)
	}
	if p.outdated.Load() == 0 {
		p.t.Error("nobody got an old page after a soft purge: nothing was put to the test")
	}
}

// pressTag is the tag of a page: each is that of ten.
func pressTag(n int) string { return "t" + strconv.Itoa(n/10) }

// change changes pages, without the gateways, and purges them. The change is not over before
// a purge has succeeded, since nothing else makes the pages old.
func (p *press) change(r *rand.Rand, g *stack.Process, n int) {
	pages, what := []int{n}, purge.Request{URLs: []string{pressKey(n)}}
	switch of := r.IntN(20); {
	case of < 4:
		pages, what = tenth(n), purge.Request{Tags: []string{pressTag(n)}}
	case of < 5: // /3 and /30 to /39, and so on
		pages, what = nil, purge.Request{Prefixes: []string{pressKey(n)}}
		for m := range pressPages {
			if strings.HasPrefix(strconv.Itoa(m), strconv.Itoa(n)) {
				pages = append(pages, m)
			}
		}
	case of < 8:
		what = purge.Request{Paths: []string{pressKey(n) + "?any"}}
	}
	way := r.IntN(len(pressWays))
	what.Refresh, what.Soft, what.Wait = way == 1, way >= 2, way == 3
	if what.Soft && r.IntN(4) == 0 {
		defer p.delay(p.gateways[r.IntN(2)], n)()
	}
	versions := make([]int64, len(pages))
	for i, m := range pages {
		versions[i] = p.versions[m].Add(1)
	}
	result := p.purge(r, g, what)
	if result == nil {
		return
	}
	count := &p.purged[way]
	count.done.Add(1)
	count.kept.Add(uint64(result.Kept))
	count.fetched.Add(uint64(result.Fetched))
	for i, m := range pages {
		if result.Kept > 0 && (!what.Wait || result.Fetched < result.Kept) {
			raise(&p.soft[m], versions[i])
		} else {
			p.raise(m, versions[i])
		}
	}
}

// A late is a GET whose response is of before a purge, and comes after it.
type late struct{ taken, over chan struct{} }

// delay sends a GET for a page, as by an nginx that has just not found it, and returns when
// the application has it. The function that it returns lets the application respond, and
// waits for that.
func (p *press) delay(g *stack.Process, n int) (release func()) {
	l, done := &late{make(chan struct{}), make(chan struct{})}, make(chan struct{})
	if !p.late[n].CompareAndSwap(nil, l) {
		return func() {}
	}
	go func() {
		defer close(done)
		p.ask(g, pressVars("GET", "/"+strconv.Itoa(n), uwsgi.Var{Name: "CACHE_STATUS", Value: "404"}))
	}()
	select {
	case <-l.taken:
		p.delayed.Add(1)
	case <-done: // it has followed another one, or the gateway restarts
		p.late[n].CompareAndSwap(l, nil)
	}
	return func() { close(l.over); <-done }
}

// holdUp makes a response of the application late. It bounds that: the purge may wait for
// this very request.
func (p *press) holdUp(n int) {
	l := p.late[n].Swap(nil)
	if l == nil {
		return
	}
	close(l.taken)
	select {
	case <-l.over:
	case <-time.After(2 * time.Second):
	}
}

func tenth(n int) (pages []int) {
	for m := n / 10 * 10; m < n/10*10+10; m++ {
		pages = append(pages, m)
	}
	return pages
}

// purge purges until a gateway has done it: one of them may be restarting.
func (p *press) purge(r *rand.Rand, g *stack.Process, what purge.Request) *purge.Result {
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		result, err := p.purgeBy(r, g, what)
		if err == nil && result.Status == purge.Done {
			return result
		}
		if err == nil {
			err = fmt.Errorf("%+v", result)
		}
		last, g = err, p.gateways[r.IntN(2)]
	}
	p.t.Errorf("no purge of %v in %v: %v", what.Items(), patience, last)
	return nil
}

// purgeBy sends a PURGE request if it can say what is wanted, or else uses the API.
func (p *press) purgeBy(r *rand.Rand, g *stack.Process, what purge.Request) (*purge.Result, error) {
	if what.Wait || what.Refresh || len(what.Prefixes) > 0 || r.IntN(2) == 0 {
		return askToPurge(strings.TrimPrefix(g.Addr, "unix:")+".admin", what)
	}
	field := func(name, value string) uwsgi.Var { return uwsgi.Var{Name: name, Value: value} }
	v := append(vars("PURGE", "/"), field("REMOTE_ADDR", "127.0.0.1"), field("CACHE_KEY", ""), field("CACHE_STATUS", ""))
	switch {
	case len(what.Tags) > 0:
		v = append(v, field("HTTP_SURROGATE_KEY", what.Tags[0]))
	case len(what.URLs) > 0:
		v = v.Set(field("REQUEST_URI", strings.TrimPrefix(what.URLs[0], "http://localhost")))
	default:
		v = append(v.Set(field("REQUEST_URI", strings.TrimPrefix(what.Paths[0], "http://localhost"))), field("HTTP_X_PURGE_SCOPE", "query"))
	}
	if what.Soft {
		v = append(v, field("HTTP_X_PURGE_METHOD", "soft"))
	}
	resp, body, err := p.ask(g, v)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != 200 {
		return nil, fmt.Errorf("%d %s", resp.StatusCode, body)
	}
	return readPurge([]byte(body))
}

// askToPurge uses the API at a UNIX socket.
func askToPurge(socket string, what purge.Request) (*purge.Result, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", "http://uwgate/api/v1/purge", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var all bytes.Buffer
	if _, err := all.ReadFrom(resp.Body); err != nil || resp.StatusCode != 200 {
		return nil, errors.Join(err, fmt.Errorf("%s: %s", resp.Status, &all))
	}
	return readPurge(all.Bytes())
}

func readPurge(body []byte) (*purge.Result, error) {
	r := &purge.Result{}
	return r, json.Unmarshal(body, r)
}
