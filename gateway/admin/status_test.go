package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway"
	"uwgate/gateway/hits"
	"uwgate/gateway/policy"
)

// said is what a memcached server says of itself.
const said = "STAT version 1.6.18\r\nSTAT uptime 100\r\nSTAT get_hits 90\r\nSTAT get_misses 10\r\nSTAT evictions 3\r\nSTAT curr_items 4\r\n" +
	"STAT bytes 5\r\nSTAT limit_maxbytes 6\r\nSTAT curr_connections 7\r\nSTAT max_connections 8\r\nEND\r\n"

// startStore returns a Writer with a scripted memcached server.
func startStore(t *testing.T) *cachewriter.Writer {
	t.Helper()
	ln := listen(t, "unix")
	now := time.Now().Unix()
	listed := fmt.Sprintf("key=http%%3A%%2F%%2Fexample.com%%2Fhot exp=%d la=%d cas=1 fetch=yes cls=1 size=100\n"+
		"key=http%%3A%%2F%%2Fexample.com%%2Fcold exp=%d la=%d cas=1 fetch=no cls=1 size=200\nkey=foreign exp=-1 la=%d cas=1 fetch=yes cls=1 size=300\nEND\r\n",
		now+600, now-10, now+600, now-700, now-100_000)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer nc.Close()
				for in := bufio.NewScanner(nc); in.Scan(); {
					switch in.Text() {
					case "stats":
						io.WriteString(nc, said)
					case "lru_crawler metadump hash":
						io.WriteString(nc, listed)
					case "mn":
						io.WriteString(nc, "MN\r\n")
					}
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); conns.Wait() })
	server, err := cachewriter.ParseServer("unix:" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ring, err := cachewriter.NewRing(cachewriter.All, server)
	if err != nil {
		t.Fatal(err)
	}
	w := &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		w.Close(ctx)
	})
	return w
}

// startHits returns a Receiver at a socket, and a connection to it.
func startHits(t *testing.T) (*hits.Receiver, net.Conn) {
	t.Helper()
	pc, err := net.ListenPacket("unixgram", filepath.Join(t.TempDir(), "h"))
	if err != nil {
		t.Fatal(err)
	}
	r := &hits.Receiver{IsStore: func(addr string) bool { return addr == "127.0.0.1:11211" }}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, pc) }()
	nc, err := net.Dial("unixgram", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); cancel(); <-done })
	return r, nc
}

func sendLine(t *testing.T, nc net.Conn, host, addr, upstream string) {
	t.Helper()
	if _, err := fmt.Fprintf(nc, `<190>Nov 30 17:45:00 uwgate: {"host":%q,"uri":"/p","status":"200","bytes":"10","time":"0.002","addr":%q,"upstream":%q}`, host, addr, upstream); err != nil {
		t.Fatal(err)
	}
}

// ask returns what the API says.
func ask[T any](t *testing.T, a *Admin, path string) *T {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Authorization", "Bearer "+a.Token)
	a.Handler().ServeHTTP(w, r)
	v := new(T)
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return v
}

// The status says what memcached holds, and the ratio of one source: memcached's until nginx
// tells.
func TestStatus(t *testing.T) {
	receiver, nginx := startHits(t)
	b := newBench(t, func(g *gateway.Gateway) {
		g.Policy.Observe = true
		g.Store = startStore(t)
		g.Store.Subject = g.SubjectOf
	}, says(page("hello")))
	b.Token, b.Hits = "a-long-secret-text", receiver
	b.look(t.Context())
	b.get("/a")
	b.idle(1)
	b.watch.surveyed = time.Time{} // it is due again
	b.look(t.Context())
	s := ask[Status](t, b.Admin, "/api/v1/status")
	if !s.Observe || s.Verdicts["observe"] != 1 || s.Reasons[string(policy.DefaultTTL)] != 1 || s.Latency["first_byte"].Count != 1 || s.Latency["first_byte"].P99 <= 0 {
		t.Errorf("got %+v", s)
	}
	if s.Hits.Source != SourceMemcached || s.Hits.Ratio == nil || *s.Hits.Ratio != 0.9 || s.Hits.Nginx == nil || s.Hits.Nginx.Last != nil {
		t.Errorf("hits %+v", s.Hits)
	}
	if m := s.Store[0].Memcached; m == nil || m.Evictions != 3 || m.Items != 4 || m.Limit != 6 || *m.Ratio != 0.9 || m.MaxConns != 8 {
		t.Errorf("memcached %+v", m)
	}
	if len(s.Traffic) != 1 || s.Traffic[0].Requests != 1 || s.Traffic[0].Took <= 0 || s.Traffic[0].Hits != 0 {
		t.Errorf("traffic %+v", s.Traffic)
	}
	st := s.Stored
	if st == nil || st.Entries != 3 || !st.Whole || len(st.Sites) != 2 || st.Sites[0].Host != "example.com" || st.Sites[0].Entries != 2 || st.Sites[0].Fetched != 1 || st.Sites[0].Bytes != 300 {
		t.Fatalf("stored %+v", st)
	}
	if st.Ages[0].Entries != 1 || st.Ages[2].Entries != 1 || st.Ages[4].Entries != 1 || st.Ages[0].Fetched != 1 || len(st.Hottest) != 1 || st.Hottest[0].URI != "/hot" {
		t.Errorf("stored %+v", st)
	}
	if len(s.Slowest) != 1 || s.Slowest[0].URI != "/a" || len(s.Bounds) != 6 {
		t.Errorf("slowest %+v, bounds %+v", s.Slowest, s.Bounds)
	}

	for range 3 {
		sendLine(t, nginx, "example.com", "127.0.0.1:11211", "200")
	}
	sendLine(t, nginx, "example.com", "127.0.0.1:11211 : unix:/s", "404 : 200")
	sendLine(t, nginx, "a.example", "unix:/s", "200")
	eventually(t, "the lines are counted", func() bool { return receiver.Stats().Counted == 5 })
	b.look(t.Context())
	sendLine(t, nginx, "example.com", "127.0.0.1:11211", "200")
	eventually(t, "the line is counted", func() bool { return receiver.Stats().Counted == 6 })
	b.look(t.Context())
	s = ask[Status](t, b.Admin, "/api/v1/status")
	if h := s.Hits; h.Source != SourceNginx || *h.Ratio != 0.8 || h.Hits != 4 || h.Misses != 1 || len(h.Nginx.Hosts) != 2 || h.Nginx.Hosts[0].Host != "example.com" ||
		*h.Nginx.Hosts[0].Ratio != 0.8 || h.Nginx.Hosts[1].Ratio != nil || h.Nginx.Pages[0] != (PageStatus{"example.com", "/p", 4}) || h.Nginx.Latency["hit"].P50 != 0.0025 {
		t.Errorf("hits %+v", h)
	}
	if n := len(s.Traffic); n != 3 || s.Traffic[1].Hits != 0 || s.Traffic[2].Hits != 1 || s.Traffic[2].Misses != 0 {
		t.Errorf("traffic %+v", s.Traffic)
	}
}

// The samples are those of an hour.
func TestSamplesAreBounded(t *testing.T) {
	var w watch
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 500 {
		w.take(totals{at: at.Add(time.Duration(i) * sampleEvery), requests: uint64(i), source: SourceMemcached, hits: uint64(i % 100)}, 0, 0, nil)
	}
	samples, _, _ := w.seen()
	if len(samples) != 360 || !samples[359].At.Equal(at.Add(499*sampleEvery)) || samples[0].Requests != 1 {
		t.Errorf("%d samples, the last %+v", len(samples), samples[len(samples)-1])
	}
	for _, s := range samples {
		if s.Hits > 1 {
			t.Errorf("memcached began again, and the sample says %+v", s)
		}
	}
}

func TestReportAndReloads(t *testing.T) {
	b := newBench(t, nil, says(page("hello", "Set-Cookie: a=b")))
	b.Token = "a-long-secret-text"
	b.get("/a")
	b.idle(1)
	r := ask[Report](t, b.Admin, "/api/v1/report")
	if len(r.Savings) != 1 || r.Savings[0].Reason != policy.SetCookie || r.Savings[0].Seconds <= 0 || !strings.HasPrefix(r.Savings[0].URL, "example.com") {
		t.Errorf("got %+v", r)
	}
	before := ask[Status](t, b.Admin, "/api/v1/status").Reload
	b.NoteReload(errors.New("a typing error"))
	if got := b.reloads.get(); got.Error == "" || !got.InForce.Equal(before.InForce) || !got.At.After(before.At) {
		t.Errorf("after an error: %+v, before %+v", got, before)
	}
	b.NoteReload(nil)
	if got := b.reloads.get(); got.Error != "" || !got.InForce.After(before.InForce) || !got.At.Equal(got.InForce) {
		t.Errorf("after a success: %+v", got)
	}
}

// Watch ends with its context, also while memcached is silent.
func TestWatchEnds(t *testing.T) {
	b := newBench(t, func(g *gateway.Gateway) { g.Store = startStore(t) }, says(page("hello")))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.Watch(ctx) }()
	eventually(t, "it has looked", func() bool { _, info, _ := b.watch.seen(); return info != nil })
	cancel()
	<-done
}
