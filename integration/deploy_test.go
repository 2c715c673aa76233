package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"uwgate/demo/stack"
	"uwgate/gateway/purge"
)

// A deployment is a stack whose gateway has its backend and generation from a file, and
// visitors.
type deployment struct {
	*world
	config string

	isOver   atomic.Bool // visitors must not get the old release any more
	stop     chan struct{}
	visitors sync.WaitGroup
	visits   [2]atomic.Uint64 // that got the old release, and the new one
}

// styles are in the pages of the first and of the second release.
var styles = [2]string{"site.1b5e7cbb9ba4.css", "site.36bcf9773748.css"}

func startDeployment(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{config: filepath.Join(t.TempDir(), "uwgate.yaml"), stop: make(chan struct{})}
	if err := os.WriteFile(d.config, []byte("generation: r1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.world = start(t, stack.Config{App: "testdata/warm", Memcached: 3, Args: []string{"--config", d.config, "--admin-token", adminToken}})
	d.configure("r1", d.UWSGI.Addr)
	i := slices.Index(d.Uwgate.Command, "--backend")
	d.Uwgate.Command = slices.Delete(slices.Clone(d.Uwgate.Command), i, i+2)
	if err := d.Uwgate.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Uwgate.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.warm("--sitemap", "http://127.0.0.1/sitemap.xml")
	for range 4 {
		d.visitors.Go(d.visitPages)
	}
	t.Cleanup(d.leave)
	return d
}

func (d *deployment) configure(generation, backend string) {
	d.t.Helper()
	if err := os.WriteFile(d.config, fmt.Appendf(nil, "generation: %s\nbackend: [%q]\n", generation, backend), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// move gives the gateway other workers, and another generation.
func (d *deployment) move(generation, backend string) {
	d.t.Helper()
	d.configure(generation, backend)
	n := strings.Count(d.Uwgate.Log(), "settings reloaded")
	if err := d.Uwgate.Reload(); err != nil {
		d.t.Fatal(err)
	}
	d.eventually("uwgate has the new backend", func() bool { return strings.Count(d.Uwgate.Log(), "settings reloaded") > n })
}

// warm runs `uwgate warm` through nginx.
func (d *deployment) warm(what ...string) warmed {
	d.t.Helper()
	var got warmed
	args := slices.Concat([]string{"warm", "--connect", d.Nginx.Addr, "--timeout", patience.String()}, d.told(), what)
	if errs, status := uwgateJSON(d.t, &got, args...); status != 0 || got.Failed != 0 || got.Pages == 0 {
		d.t.Fatalf("%q: status %d, %s%+v", args, status, errs, got)
	}
	return got
}

// visitPages is a visitor who goes from page to page.
func (d *deployment) visitPages() {
	for i := 0; ; i++ {
		select {
		case <-d.stop:
			return
		default:
		}
		path, isOver := fmt.Sprintf("/page/%d?a=1&b=2", i%20), d.isOver.Load()
		p := d.get(path)
		switch {
		case p.err != nil || p.status != 200 || !strings.HasSuffix(p.body, "</html>\n"):
			d.t.Errorf("%s: got %d %.200q, %v", path, p.status, p.body, p.err)
			return
		case strings.Contains(p.body, styles[1]):
			d.visits[1].Add(1)
		case !strings.Contains(p.body, styles[0]) || isOver:
			d.t.Errorf("%s: after the deploy got %.200q", path, p.body)
			return
		default:
			d.visits[0].Add(1)
		}
	}
}

func (d *deployment) leave() {
	select {
	case <-d.stop:
	default:
		close(d.stop)
	}
	d.visitors.Wait()
}

// see waits until visitors have seen so many pages more of a release.
func (d *deployment) see(release int, pages uint64) {
	d.t.Helper()
	n := d.visits[release].Load()
	d.eventually("visitors see pages", func() bool { return d.visits[release].Load() >= n+pages })
}

// The steps of docs/warming.md: the new workers are checked, they get the traffic, the pages
// of the old ones are purged or get another generation, and the others are warmed. No request
// fails, and nobody gets an old page afterwards.
func TestDeploy(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"purge", "generation"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			d := startDeployment(t)
			d.see(0, 40)
			next := d.nextRelease()
			shared := slices.Concat([]string{"--config", d.config, "--hash", "consistent"}, memcachedFlags(d.world))
			var checked deployed
			if errs, status := uwgateJSON(t, &checked, slices.Concat([]string{"deploy-check", "--timeout", patience.String()}, shared, []string{next})...); status != 0 || checked.Outcomes["assets"] < 20 || checked.Outcomes["failing"] != 0 {
				t.Fatalf("deploy-check: status %d, %s%+v", status, errs, checked)
			}
			if way == "purge" {
				d.move("r1", next)
				d.see(0, 1) // some pages are stored, and old
				var r purge.Result
				errs, status := uwgateJSON(t, &r, slices.Concat([]string{"purge", "--site", "127.0.0.1", "--refresh"}, d.told())...)
				if d.isOver.Store(true); status != 0 || r.Status != purge.Done || r.Found < 20 {
					t.Fatalf("purge: status %d, %s%+v", status, errs, r)
				}
			} else {
				hot, errs, status := runUwgate(t, slices.Concat([]string{"warm", "--hottest", "1000", "--dry-run"}, shared)...)
				list := filepath.Join(t.TempDir(), "hot.txt")
				if err := os.WriteFile(list, []byte(hot), 0o644); err != nil || status != 0 || strings.Count(hot, "/page/") < 20 {
					t.Fatalf("the hottest pages: status %d, %s%s %v", status, errs, hot, err)
				}
				d.move("r2", next)
				conf := filepath.Join(d.Dir, "site.conf")
				text, err := os.ReadFile(conf)
				if err == nil {
					err = os.WriteFile(conf, []byte(strings.ReplaceAll(string(text), `"r1:`, `"r2:`)), 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
				d.reloadNginx()
				d.isOver.Store(true)
				d.warm("--urls", list)
			}
			d.warm("--sitemap", "http://127.0.0.1/sitemap.xml")
			d.see(1, 40)
			d.leave()
			d.settle()
			if again := d.warm("--sitemap", "http://127.0.0.1/sitemap.xml"); again.Verdicts["hit"] != 22 {
				t.Errorf("in the end not all pages are stored: %+v", again)
			}
			t.Logf("%d visits of the old release, %d of the new one", d.visits[0].Load(), d.visits[1].Load())
		})
	}
}
