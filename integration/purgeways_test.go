package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
	"uwgate/gateway/purge"
	"uwgate/uwsgi"
)

// A purgeBench is two gateways that accept purges, in front of the application of
// testdata/purge.
type purgeBench struct{ *fleet }

func startPurges(t *testing.T, cfg stack.Config) *purgeBench {
	t.Helper()
	cfg.App, cfg.Workers = "testdata/purge", 12
	cfg.Args = slices.Concat(purges, []string{"--admin-token", adminToken}, unhurried, cfg.Args)
	return &purgeBench{startFleetOf(t, cfg)}
}

// in returns the bench for a subtest.
func (b *purgeBench) in(t *testing.T) *purgeBench {
	f := *b.fleet
	f.world = &world{b.Stack, t}
	return &purgeBench{&f}
}

// A site's page is host and target.
type sitePage struct{ host, target string }

func (p sitePage) String() string { return p.host + p.target }

// visitPage fetches a page through nginx, and returns the content that it shows.
func (b *purgeBench) visitPage(p sitePage) string {
	b.t.Helper()
	got := b.want(b.fetch("GET", p.target, "Host: "+p.host), 200)
	content, _, _ := strings.Cut(strings.TrimPrefix(got.body, "<p>"), " at ")
	return content
}

// run runs `uwgate purge` with one of the gateways.
func (b *purgeBench) run(args ...string) purge.Result {
	b.t.Helper()
	stdout, stderr, status := runUwgate(b.t, slices.Concat([]string{"purge", "--json"}, b.told(), args)...)
	var r purge.Result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 {
		b.t.Fatalf("uwgate purge %q: status %d, %s%s", args, status, stdout, stderr)
	}
	return r
}

const wwwSite, shopSite = "www.example.com", "shop.example.com"

// purgePages are the pages of the tests below. Their tags contain each other.
var purgePages = []sitePage{
	{wwwSite, "/news/"}, {wwwSite, "/news/?page=2"}, {wwwSite, "/news/1"}, {wwwSite, "/newsletter"}, {wwwSite, "/caf%C3%A9?q=%20"},
	{wwwSite, "/tagged/a?Cache-Tag=a"}, {wwwSite, "/tagged/ab?Cache-Tag=ab"}, {wwwSite, "/tagged/a-b?Cache-Tag=a%20b"}, {wwwSite, "/tagged/regex?Cache-Tag=a.*"},
	{wwwSite, "/tagged/two?Surrogate-Key=a%20x"}, {wwwSite, "/grouped?Cache-Groups=%22a%22"},
	{shopSite, "/news/"}, {shopSite, "/tagged/a?Cache-Tag=a"},
}

// A purgeWay is a way to purge, and the pages that are gone after it, as in "site/target".
type purgeWay struct {
	name          string
	target, lines string
	args          []string // of uwgate purge instead
	gone          []string
}

const tagA = wwwSite + "/tagged/a?Cache-Tag=a " + wwwSite + "/tagged/two?Surrogate-Key=a%20x " + wwwSite + "/grouped?Cache-Groups=%22a%22 " + shopSite + "/tagged/a?Cache-Tag=a"

var purgeWays = []purgeWay{
	{name: "a URL", target: "/news/", gone: []string{wwwSite + "/news/"}},
	{name: "a URL with a query", target: "/news/?page=2", gone: []string{wwwSite + "/news/?page=2"}},
	{name: "a URL in another spelling", target: "/caf%c3%a9?q=%20", gone: []string{wwwSite + "/caf%C3%A9?q=%20"}},
	{name: "any query", target: "/news/?page=7", lines: "X-Purge-Scope: query", gone: []string{wwwSite + "/news/", wwwSite + "/news/?page=2"}},
	{name: "a prefix", target: "/news/", lines: "X-Purge-Scope: prefix", gone: []string{wwwSite + "/news/", wwwSite + "/news/?page=2", wwwSite + "/news/1"}},
	{name: "Surrogate-Key", target: "/", lines: "Surrogate-Key: a", gone: strings.Fields(tagA)},
	{name: "xkey", target: "/", lines: "xkey: ab", gone: []string{wwwSite + "/tagged/ab?Cache-Tag=ab"}},
	{name: "Cache-Tag", target: "/", lines: "Cache-Tag: a b, a.*", gone: []string{wwwSite + "/tagged/a-b?Cache-Tag=a%20b", wwwSite + "/tagged/regex?Cache-Tag=a.*"}},
	{name: "a URL by uwgate purge", args: []string{"https://www.example.com:8443/news/"}, gone: []string{wwwSite + "/news/"}},
	{name: "a path by uwgate purge", args: []string{"--path", "http://www.example.com/news/"}, gone: []string{wwwSite + "/news/", wwwSite + "/news/?page=2"}},
	{name: "a prefix by uwgate purge", args: []string{"--prefix", "http://www.example.com/news"}, gone: []string{wwwSite + "/news/", wwwSite + "/news/?page=2", wwwSite + "/news/1", wwwSite + "/newsletter"}},
	{name: "a tag by uwgate purge", args: []string{"--tag", "a"}, gone: strings.Fields(tagA)},
	{name: "a site by uwgate purge", args: []string{"--site", shopSite}, gone: []string{shopSite + "/news/", shopSite + "/tagged/a?Cache-Tag=a"}},
	{name: "all by uwgate purge", args: []string{"--all"}, gone: pageNames()},
	{name: "nothing that is there", args: []string{"--tag", "b", "--prefix", "http://www.example.com/old/", "http://www.example.com/new/"}},
}

func pageNames() (names []string) {
	for _, p := range purgePages {
		names = append(names, p.String())
	}
	return names
}

// carryOut purges, and returns the result.
func (b *purgeBench) carryOut(way purgeWay, soft bool) purge.Result {
	b.t.Helper()
	switch {
	case way.args != nil && soft:
		return b.run(append([]string{"--soft"}, way.args...)...)
	case way.args != nil:
		return b.run(way.args...)
	}
	lines := "Host: " + wwwSite
	if way.lines != "" {
		lines += "\n" + way.lines
	}
	if soft {
		lines += "\nX-Purge-Method: soft"
	}
	return b.purge(way.target, lines)
}

// fillAll stores the pages with a content, and visits each once more if they are to be hot.
// A gateway does not store what it has requested within 100 ms after a purge through the
// other one, so that a page may be requested twice.
func (b *purgeBench) fillAll(content string, hot bool) {
	b.t.Helper()
	b.write("content", content)
	missing := purgePages
	b.eventually("all pages are stored", func() bool {
		for _, p := range missing {
			if got := b.visitPage(p); got != content {
				b.t.Fatalf("%v shows %q, want %q", p, got, content)
			}
		}
		b.settle()
		missing = slices.DeleteFunc(slices.Clone(missing), func(p sitePage) bool {
			return b.holds("http://" + strings.ReplaceAll(p.String(), "%", "%25"))
		})
		return len(missing) == 0
	})
	for _, p := range purgePages {
		if hot {
			b.visitPage(p)
		}
	}
}

// holds is has, but a page that was looked for does not count as visited.
func (b *purgeBench) holds(key string) bool {
	b.t.Helper()
	for _, m := range b.Memcached {
		if slices.Contains(b.talk(m.Addr, "mg "+key+" u\r\nmn\r\n", "MN"), "HD") {
			return true
		}
	}
	return false
}

// After a purge nobody gets the old page, whichever gateway has stored it and carries the
// purge out. All other pages stay. A key of somebody else stays, too.
func TestPurgeWays(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "gzip", "http"} {
		for _, servers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d memcached", format, servers), func(t *testing.T) {
				t.Parallel()
				b := startPurges(t, stack.Config{Format: format, Memcached: servers})
				foreign := "http://" + wwwSite + "/news/foreign"
				for i, m := range b.Memcached {
					b.talk(m.Addr, fmt.Sprintf("set %s%d 0 0 3\r\nown\r\n", foreign, i), "STORED")
				}
				for i, way := range purgeWays {
					t.Run(way.name, func(t *testing.T) {
						b := b.in(t)
						before, after := fmt.Sprint("before-", i), fmt.Sprint("after-", i)
						b.run("--all")
						b.fillAll(before, false)
						b.write("content", after)
						r := b.carryOut(way, false)
						if r.Status != purge.Done || r.Found != len(way.gone) || r.Deleted != len(way.gone) || len(r.Servers) != servers && r.Found > 1 {
							t.Errorf("got %+v, want %d pages", r, len(way.gone))
						}
						b.showsAfter(way, before, after)
					})
				}
				for i, m := range b.Memcached {
					if got := b.talk(m.Addr, fmt.Sprintf("get %s%d\r\n", foreign, i), "END"); len(got) != 2 || got[1] != "own" {
						t.Errorf("a key of somebody else's is gone: %q", got)
					}
				}
			})
		}
	}
}

// showsAfter visits all pages after a purge.
func (b *purgeBench) showsAfter(way purgeWay, before, after string) {
	b.t.Helper()
	for _, p := range purgePages {
		want := before
		if slices.Contains(way.gone, p.String()) {
			want = after
		}
		if got := b.visitPage(p); got != want {
			b.t.Errorf("%v shows %q, want %q", p, got, want)
		}
	}
}

// A purge finds the pages of earlier processes, and those of other schemes.
func TestPurgeOfOldPages(t *testing.T) {
	t.Parallel()
	b := startPurges(t, stack.Config{Memcached: 3})
	b.fillAll("old", false)
	v := vars("GET", "/news/")
	for name, value := range map[string]string{"HTTP_HOST": wwwSite, "REQUEST_SCHEME": "https", "CACHE_KEY": "https://" + wwwSite + "/news/", "CACHE_STATUS": "404"} {
		v = v.Set(uwsgi.Var{Name: name, Value: value})
	}
	if p := b.ask(b.Uwgate.Addr, v, ""); p.status != 200 {
		t.Fatalf("got %d %q, %v", p.status, p.body, p.err)
	}
	b.wantKey("https://" + wwwSite + "/news/")
	if err := errors.Join(b.Uwgate.Stop(t.Context()), b.Uwgate.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	if r := b.run("--dry-run", "--site", wwwSite); r.Found != 12 || r.Deleted != 0 {
		t.Errorf("a dry run found %+v, want 12 pages", r)
	}
	if r := b.purge("/news/", "Host: "+wwwSite); r.Found != 2 || r.Deleted != 2 || b.has("https://"+wwwSite+"/news/") {
		t.Errorf("a URL with two schemes: %+v", r)
	}
	if r := b.run("--tag", "a"); r.Deleted != 4 {
		t.Errorf("a tag: %+v", r)
	}
}

// A POST purges what rules and its response say: tags of its site, and of all sites by rules.
func TestPurgeByRequests(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	const rules = "rules:\n  - path: /comments/\n    methods: [POST]\n    purge: [\"tag:a\", \"prefix:/news/\"]\n"
	if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	b := startPurges(t, stack.Config{Memcached: 3, Args: []string{"--config", file}})
	for i, tt := range []struct {
		target, lines string
		gone          []string
	}{
		{"/comments/7", "", append(strings.Fields(tagA), wwwSite+"/news/", wwwSite+"/news/?page=2", wwwSite+"/news/1")},
		{"/elsewhere", "\nX-Field: Cache-Group-Invalidation: \"a\"", slices.DeleteFunc(strings.Fields(tagA), func(name string) bool { return strings.HasPrefix(name, shopSite) })},
		{"/elsewhere", "", nil},
	} {
		before, after := fmt.Sprint("before-", i), fmt.Sprint("after-", i)
		b.run("--all")
		b.fillAll(before, false)
		b.write("content", after)
		b.want(b.fetch("POST", tt.target, "Host: "+wwwSite+"\nContent-Length: 0"+tt.lines), 200)
		b.showsAfter(purgeWay{gone: tt.gone}, before, after)
	}
}

// While a server cannot be reached, a purge is pending there, and says so. It is carried out
// when the server is back.
func TestPurgeIsPending(t *testing.T) {
	t.Parallel()
	b := startPurges(t, stack.Config{Args: []string{"--memcached-timeout", "250ms", "--memcached-connect-timeout", "250ms"}})
	b.fillAll("before", false)
	if err := b.Memcached[0].Pause(); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, status := runUwgate(t, append(append([]string{"purge"}, b.told()...), "--tag", "a", "http://"+wwwSite+"/news/")...)
	if status != 1 || !strings.Contains(stdout, "pending") || !strings.Contains(stderr, b.Memcached[0].Addr+" could not be purged yet: ") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
	if err := b.Memcached[0].Resume(); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(strings.Fields(tagA), wwwSite+"/news/") {
		b.eventually(name+" is gone", func() bool { return !b.holds("http://" + strings.ReplaceAll(name, "%", "%25")) })
	}
	if !b.holds("http://" + wwwSite + "/news/1") {
		t.Error("another page is gone")
	}
}

// With --wait, a purge returns when a server that could not be reached has been purged. Meanwhile
// uwgate status shows the purge, and afterwards what became of it.
func TestPurgeWaitsForServers(t *testing.T) {
	t.Parallel()
	b := startPurges(t, stack.Config{Memcached: 3, Args: []string{"--memcached-timeout", "250ms", "--memcached-connect-timeout", "250ms"}})
	b.fillAll("before", false)
	status := func() string {
		stdout, stderr, exit := runUwgate(t, append([]string{"status"}, b.told()...)...)
		if exit != 0 {
			t.Fatalf("status %d: %s", exit, stderr)
		}
		return stdout
	}
	if err := b.Memcached[0].Pause(); err != nil {
		t.Fatal(err)
	}
	done := make(chan purge.Result)
	go func() { done <- b.run("--wait", "--site", wwwSite) }()
	b.eventually("status shows the purge", func() bool {
		s := status()
		return strings.Contains(s, "hard site "+wwwSite) && strings.Contains(s, " running ")
	})
	if err := b.Memcached[0].Resume(); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.Status != purge.Done || len(r.Servers) != 3 {
		t.Errorf("got %+v", r)
	}
	for _, p := range purgePages {
		if held := b.holds("http://" + strings.ReplaceAll(p.String(), "%", "%25")); held == (p.host == wwwSite) {
			t.Errorf("%v is in memcached: %v", p, held)
		}
	}
	if s := status(); !strings.Contains(s, "hard site "+wwwSite) || strings.Contains(s, " running ") || !strings.Contains(s, " done ") {
		t.Errorf("after the purge:\n%s", s)
	}
}

// spellings are request targets that lead the application to one page.
var spellings = []string{"/news/1", "/%6eews/1", "/%6Eews/1", "/news//1", "//news/./1", "/old/../news/1", "/old%2F..%2fnews/%31", "/news/1?", "/news/1?&"}

// A page may be stored under each spelling of its URL. Whichever of them is purged, all are
// gone, also if the keys can be derived from the URL that was named.
func TestPurgeOfSpellings(t *testing.T) {
	t.Parallel()
	for _, cfg := range []stack.Config{{Memcached: 3}, {Memcached: 3, ReadsNginx: true, Edits: derived}} {
		t.Run(fmt.Sprintf("derived %v", cfg.ReadsNginx), func(t *testing.T) {
			t.Parallel()
			b := startPurges(t, cfg)
			name := func(target string) string { return "http://" + wwwSite + strings.ReplaceAll(target, "%", "%25") }
			others := []string{"/news/12", "/news/1?page=2", "/news%3F/1"}
			fill := func(content string) {
				b.t.Helper()
				b.write("content", content)
				for _, target := range slices.Concat(spellings, others) {
					b.eventually(target+" is stored", func() bool {
						b.visitPage(sitePage{wwwSite, target})
						b.settle()
						return b.holds(name(target))
					})
				}
			}
			for i, way := range []purgeWay{
				{target: spellings[0]}, {target: spellings[1]}, {target: spellings[4]}, {target: spellings[6]}, {target: spellings[7]},
				{args: []string{"http://" + wwwSite + spellings[0]}}, {args: []string{"https://" + wwwSite + spellings[5]}},
			} {
				b.run("--all")
				fill(fmt.Sprint("before-", i))
				if r := b.carryOut(way, i%2 == 1); r.Status != purge.Done || r.Found != len(spellings) || r.Deleted != len(spellings) {
					t.Errorf("%s%q: got %+v, want %d pages", way.target, way.args, r, len(spellings))
				}
				for _, target := range spellings {
					if b.holds(name(target)) {
						t.Errorf("%s%q: %s is left", way.target, way.args, target)
					}
				}
				for _, target := range others {
					if !b.holds(name(target)) {
						t.Errorf("%s%q: %s is gone", way.target, way.args, target)
					}
				}
			}
		})
	}
}
