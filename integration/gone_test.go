package integration

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// A load sends requests to the printed configuration until it is stopped, and checks each
// response.
type load struct {
	*printed
	pages map[string]string // what is in memcached, by target
	stop  atomic.Bool
	next  atomic.Int64

	mu     sync.Mutex // guards the fields below
	counts map[string]int
	wrong  []string
	posts  map[string]int // the status of each POST, by path
}

func (l *load) note(kind, wrong string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[kind]++
	if wrong != "" {
		l.wrong = append(l.wrong, kind+": "+wrong)
	}
}

// hits requests pages that are in memcached.
func (l *load) hits() {
	for !l.stop.Load() {
		for target, body := range l.pages {
			got := l.fetch("GET", target, host)
			wrong := ""
			if got.err != nil || got.status != 200 || got.body != body {
				wrong = fmt.Sprintf("%s: %d %.200q, %v", target, got.status, got.body, got.err)
			}
			l.note("hit", wrong)
		}
	}
}

// misses requests pages for the first time, as that visitor.
func (l *load) misses(kind, path, lines string) {
	for !l.stop.Load() {
		n := l.next.Add(1)
		got := l.fetch("GET", fmt.Sprintf("%s?%s%d", path, kind, n), strings.TrimRight(host+"\n"+lines, "\n"))
		wrong := ""
		if kind == "huge" && got.status == 200 && got.err != nil {
			kind = "huge, broken off"
		} else if got.err != nil || got.status != 200 || !strings.Contains(got.body, fmt.Sprintf("QUERY_STRING=%s%d<", kind, n)) {
			wrong = fmt.Sprintf("%d %d bytes %.100q, %v", got.status, len(got.body), got.body, got.err)
		}
		l.note(kind, wrong)
		kind, _, _ = strings.Cut(kind, ",")
	}
}

// post sends POSTs as that visitor.
func (l *load) post(lines string) {
	for !l.stop.Load() {
		path := fmt.Sprintf("/post/%d", l.next.Add(1))
		got := l.fetch("POST", path, strings.TrimRight(host+"\n"+lines, "\n")+"\nContent-Length: 5\n\nhello")
		l.mu.Lock()
		l.counts["post"]++
		l.posts[path] = got.status
		l.mu.Unlock()
	}
}

// The workers stand in for uwgate as long as it is away: no GET fails, and no POST runs
// twice. Only a large page whose head nginx has sent breaks off, which the client notices:
// uwgate writes a page in pieces of 32 kB, and nginx cannot repeat what it has begun to send.
// UWGATE_TEST_GONE is how long the load lasts.
func TestUwgateIsKilled(t *testing.T) {
	t.Parallel()
	lasts, err := time.ParseDuration(cmp.Or(os.Getenv("UWGATE_TEST_GONE"), "4s"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ format, network string }{{"body", "unix"}, {"http", "unix"}, {"body", "tcp"}} {
		t.Run(tt.format+" over "+tt.network, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			cfg := stack.Config{Dir: dir, Format: tt.format, NginxArgs: []string{"--backend", "unix:" + filepath.Join(dir, "uwsgi.sock")}}
			if tt.network == "tcp" {
				cfg.Listen = freeAddr(t)
			}
			p := startPrinted(t, cfg)
			l := &load{printed: p, pages: map[string]string{}, counts: map[string]int{}, posts: map[string]int{}}
			for n := range 5 {
				target := fmt.Sprintf("/page?n=%d", n)
				l.pages[target] = p.wants(target, "", 200, "PATH_INFO=/page<").body
			}
			l.lasts(lasts)
			t.Logf("%v, %d POSTs failed", l.counts, l.judges())
		})
	}
}

// lasts kills uwgate again and again.
func (l *load) lasts(d time.Duration) {
	l.t.Helper()
	var clients sync.WaitGroup
	for _, send := range []func(){
		l.hits,
		func() { l.misses("page", "/cold", "") },
		func() { l.misses("large", "/large/20000", "") },
		func() { l.misses("huge", "/large/1000000", "") },
		func() { l.misses("member", "/cold", member) },
		func() { l.misses("slow", "/slow/0.02", "") },
		func() { l.post("") },
		func() { l.post(member) },
	} {
		clients.Go(send)
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		l.more(200)
		l.Uwgate.Kill()
		l.more(100)
		if err := l.Uwgate.Start(l.t.Context()); err != nil {
			l.t.Error(err)
			break
		}
		begin := time.Now()
		l.eventually("uwgate is used again", func() bool {
			return l.fetch("GET", fmt.Sprintf("/back?%d", l.next.Add(1)), host).header.Get("Cache-Status") != ""
		})
		if took := time.Since(begin); took > 5*time.Second {
			l.t.Errorf("uwgate was used again after %v", took)
		}
		l.mu.Lock()
		l.counts["kill"]++
		l.mu.Unlock()
	}
	l.stop.Store(true)
	clients.Wait()
}

// more waits for that many more responses.
func (l *load) more(n int) {
	l.t.Helper()
	total := func() (sum int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, n := range l.counts {
			sum += n
		}
		return sum
	}
	want := total() + n
	l.eventually("more responses", func() bool { return total() >= want })
}

// judges checks what all clients got. It returns the number of POSTs that failed.
func (l *load) judges() (failed int) {
	l.t.Helper()
	for i, wrong := range l.wrong {
		if i < 10 {
			l.t.Error(wrong)
		}
	}
	if len(l.wrong) > 0 {
		l.t.Errorf("%d responses were wrong of %v", len(l.wrong), l.counts)
	}
	b, err := os.ReadFile(filepath.Join(l.Dir, "site", "calls"))
	if err != nil {
		l.t.Fatal(err)
	}
	ran := map[string]int{}
	for line := range strings.Lines(string(b)) {
		if path, isPost := strings.CutPrefix(strings.TrimSpace(line), "POST "); isPost {
			ran[path]++
		}
	}
	for path, status := range l.posts {
		if ran[path] > 1 || status == 200 && ran[path] != 1 {
			l.t.Errorf("POST %s ran %d times and got %d", path, ran[path], status)
		}
		if status != 200 {
			failed++
		}
	}
	return failed
}
