package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
	"uwgate/gateway/purge"
)

// hold makes pages wait until let is called, or the test ends.
func (b *purgeBench) hold() {
	b.t.Helper()
	b.write("hold", "")
	b.t.Cleanup(func() { os.Remove(filepath.Join(b.Dir, "site", "hold")) })
}

func (b *purgeBench) let() {
	b.t.Helper()
	if err := os.Remove(filepath.Join(b.Dir, "site", "hold")); err != nil {
		b.t.Fatal(err)
	}
}

// fetches waits until workers have that many requests of both gateways.
func (b *purgeBench) fetches(n int) {
	b.t.Helper()
	b.eventually(fmt.Sprint(n, " requests with workers"), func() bool {
		return sum(b.metrics()+b.metricsOf(b.admin), "uwgate_backend_requests_in_flight") == n
	})
}

// toWorkers returns how many requests for a page have reached the workers so far.
func (b *purgeBench) toWorkers(target string) (n int) {
	b.t.Helper()
	return strings.Count(b.UWSGI.Log(), "] GET "+target+" =>")
}

// A soft purge leaves the pages that are visited in place while one request of all gateways
// fetches them again. 200 visitors at once get the old page, of nginx alone; after that
// everybody gets the new one. Pages that nobody visits are deleted.
func TestSoftPurge(t *testing.T) {
	for _, format := range []string{"body", "gzip", "http"} {
		for _, servers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d memcached", format, servers), func(t *testing.T) {
				b := startPurges(t, stack.Config{Format: format, Memcached: servers})
				for i, way := range purgeWays {
					if len(way.gone) == 0 || (format != "body" || servers != 3) && !slices.Contains(softWays, way.name) {
						continue
					}
					t.Run(way.name, func(t *testing.T) { b.in(t).purgeSoftly(way, i) })
				}
			})
		}
	}
}

// softWays are those that are tried in each format. The others differ by what they match.
var softWays = []string{"a URL", "Surrogate-Key", "a site by uwgate purge"}

func (b *purgeBench) purgeSoftly(way purgeWay, round int) {
	t := b.t
	before, after := fmt.Sprint("before-", round), fmt.Sprint("after-", round)
	b.run("--all")
	b.fillAll(before, true)
	asked := make(map[string]int)
	for _, p := range purgePages {
		asked[p.target] = b.toWorkers(p.target)
	}
	b.write("content", after)
	b.hold()
	r := b.carryOut(way, true)
	if r.Status != purge.Done || r.Found != len(way.gone) || r.Kept != len(way.gone) || r.Deleted != 0 {
		t.Fatalf("got %+v, want %d pages kept", r, len(way.gone))
	}
	b.fetches(min(len(way.gone), 2)) // which is --refresh-concurrency
	hot := purgePages[slices.IndexFunc(purgePages, func(p sitePage) bool { return p.String() == way.gone[0] })]
	passed := strings.Count(b.accessLogs(), "\n")
	c := b.crowd(200, func(int) page { return b.fetch("GET", hot.target, "Host: "+hot.host) })
	for _, p := range c.pages {
		if p.status != 200 || !strings.Contains(p.body, "<p>"+before+" at ") {
			t.Errorf("while the page is fetched: got %d %.100q, %v", p.status, p.body, p.err)
		}
	}
	if n := strings.Count(b.accessLogs(), "\n") - passed; n != 0 {
		t.Errorf("%d visitors were sent to uwgate", n)
	}
	b.let()
	for _, name := range way.gone {
		p := purgePages[slices.IndexFunc(purgePages, func(p sitePage) bool { return p.String() == name })]
		b.eventually(name+" is new", func() bool { return b.visitPage(p) == after })
	}
	b.showsAfter(way, before, after)
	for _, name := range way.gone {
		_, target, _ := strings.Cut(name, "/")
		target = "/" + target
		sites := 0
		for _, other := range way.gone {
			if strings.HasSuffix(other, ".com"+target) {
				sites++
			}
		}
		if n := b.toWorkers(target) - asked[target]; n != sites {
			t.Errorf("the workers were asked %d times for %s, want %d", n, target, sites)
		}
	}
}

// A page that nobody has visited is deleted by a soft purge.
func TestSoftPurgeOfColdPages(t *testing.T) {
	t.Parallel()
	b := startPurges(t, stack.Config{})
	b.fillAll("before", false)
	b.write("content", "after")
	if r := b.run("--soft", "--wait", "--site", wwwSite); r.Deleted != 11 || r.Kept != 0 || r.Fetched != 0 {
		t.Errorf("got %+v", r)
	}
	if got := b.visitPage(purgePages[0]); got != "after" {
		t.Errorf("got %q", got)
	}
}

// With --wait a soft purge returns when the pages are new. --refresh fetches pages after it
// has deleted all.
func TestSoftPurgeWaits(t *testing.T) {
	t.Parallel()
	b := startPurges(t, stack.Config{})
	for i, flag := range []string{"--soft", "--refresh"} {
		b.run("--all")
		b.fillAll(fmt.Sprint("before-", i), true)
		after := fmt.Sprint("after-", i)
		b.write("content", after)
		asked := b.toWorkers("/news/1")
		if r := b.run(flag, "--wait", "--site", wwwSite); r.Status != purge.Done || r.Fetched != 11 {
			t.Errorf("%s: got %+v", flag, r)
		}
		for _, p := range purgePages[:11] {
			if got := b.visitPage(p); got != after {
				t.Errorf("%s: %v shows %q", flag, p, got)
			}
		}
		if n := b.toWorkers("/news/1") - asked; n != 1 {
			t.Errorf("%s: the workers were asked %d times", flag, n)
		}
	}
}

// A page that cannot be stored any more, one whose fetch takes too long, and one whose
// gateway was killed are not served for longer than the bound.
func TestSoftPurgeEnds(t *testing.T) {
	t.Parallel()
	b := startPurges(t, stack.Config{Args: []string{"--purge-soft-limit", "3s"}})
	fill := func() {
		b.run("--all")
		b.fillAll("before", true)
		b.write("content", "after")
	}
	const target, key = "/news/", "http://" + wwwSite + "/news/"
	isGone := func() bool { return !b.has(key) }

	fill()
	b.write("gone", target)
	b.run("--soft", "http://"+wwwSite+target)
	b.eventually("the page that is a 404 by now is gone", isGone)
	if p := b.fetch("GET", target, "Host: "+wwwSite); p.status != 404 {
		t.Errorf("got %d %.100q", p.status, p.body)
	}
	b.write("gone", "")

	fill()
	b.hold()
	if r := b.run("--soft", "http://"+wwwSite+target); r.Kept != 1 || !b.has(key) {
		t.Errorf("got %+v", r)
	}
	b.eventually("the page that is slow is gone", isGone)
	b.let()

	fill()
	b.hold()
	if r := b.run("--soft", "http://"+wwwSite+target); r.Kept != 1 || !b.has(key) {
		t.Errorf("got %+v", r)
	}
	b.fetches(1)
	if err := b.Uwgate.Kill(); err != nil {
		t.Fatal(err)
	}
	b.let()
	b.eventually("the page of the gateway that was killed is gone", isGone)
}

// A hot page that is purged hard costs one request to a worker, however many visitors come, and
// none of them gets the old page. It costs a second one, and rarely a third, if the other
// gateway comes first: what that requests within 100 ms after the purge is not stored.
func TestPurgeIsNoStampede(t *testing.T) {
	b := startPurges(t, stack.Config{Memcached: 3})
	for i, way := range purgeWays {
		if !slices.Contains([]string{"a URL", "any query", "a prefix", "Surrogate-Key", "a path by uwgate purge"}, way.name) {
			continue
		}
		t.Run(way.name, func(t *testing.T) { b.in(t).purgeInACrowd(way, i) })
	}
}

func (b *purgeBench) purgeInACrowd(way purgeWay, round int) {
	b.t.Helper()
	before, after := fmt.Sprint("before-", round), fmt.Sprint("after-", round)
	b.run("--all")
	b.fillAll(before, true)
	p := purgePages[slices.IndexFunc(purgePages, func(p sitePage) bool { return p.String() == way.gone[0] })]
	asked := b.asked(p.target)
	b.write("content", after)
	b.hold()
	b.carryOut(way, false)
	done := make(chan crowd)
	go func() { done <- b.crowd(200, func(int) page { return b.fetch("GET", p.target, "Host: "+p.host) }) }()
	b.gathered(200, 198)
	b.let()
	for _, p := range (<-done).pages {
		if p.status != 200 || !strings.Contains(p.body, "<p>"+after+" at ") {
			b.t.Errorf("got %d %.100q, %v", p.status, p.body, p.err)
		}
	}
	const most = 4
	if n := b.asked(p.target) - asked; n < 1 || n > most {
		b.t.Errorf("the workers were asked %d times, want %d at most", n, most)
	}
}

// While the workers fail, a soft purge deletes the page after its time, and visitors get the
// last good copy. A hard purge deletes that, too.
func TestSoftPurgeWhileWorkersFail(t *testing.T) {
	t.Parallel()
	b := startPurges(t, stack.Config{Args: []string{"--purge-soft-limit", "2s", "--stale-if-error", "1h"}})
	const target = "/news/"
	b.fillAll("before", true)
	if err := b.UWSGI.Kill(); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, status := runUwgate(t, slices.Concat([]string{"purge"}, b.told(), []string{"--soft", "--wait", "http://" + wwwSite + target})...)
	if status != 1 || !strings.Contains(stderr, "1 page could not be fetched again, and was deleted") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
	b.eventually("the page is gone", func() bool { return !b.holds("http://" + wwwSite + target) })
	if p := b.fetch("GET", target, "Host: "+wwwSite); p.status != 200 || !strings.Contains(p.body, "<p>before at ") {
		t.Errorf("after a soft purge: got %d %.100q", p.status, p.body)
	}
	if r := b.purge(target, "Host: "+wwwSite+"\nFastly-Soft-Purge: 1"); r.Kept != 0 {
		t.Errorf("a page that is gone: got %+v", r)
	}
	if p := b.fetch("GET", target, "Host: "+wwwSite); p.status != 200 {
		t.Errorf("after a second one: got %d %.100q", p.status, p.body)
	}
	b.purge(target, "Host: "+wwwSite)
	if p := b.fetch("GET", target, "Host: "+wwwSite); p.status < 500 {
		t.Errorf("after a hard purge: got %d %.100q", p.status, p.body)
	}
}
