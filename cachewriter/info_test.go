package cachewriter

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReadInfo(t *testing.T) {
	const said = "STAT pid 1\r\nSTAT version 1.6.18\r\nSTAT uptime 61\r\nSTAT get_hits 11\r\nSTAT get_misses 12\r\nSTAT cmd_set 13\r\nSTAT evictions 14\r\n" +
		"STAT curr_items 15\r\nSTAT bytes 16\r\nSTAT limit_maxbytes 17\r\nSTAT curr_connections 18\r\nSTAT max_connections 19\r\nSTAT libevent 2.1.12-stable\r\nSTAT empty \r\n"
	want := Info{Version: "1.6.18", Uptime: 61 * time.Second, Hits: 11, Misses: 12, Sets: 13, Evictions: 14, Items: 15, Bytes: 16, Limit: 17, Connections: 18, MaxConnections: 19}
	if got, err := readInfo(bufio.NewReader(strings.NewReader(said + "END\r\n"))); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{said, "", "END\r\n", "ERROR\r\n", strings.Repeat("STAT a b\r\n", 1001) + "END\r\n", strings.Repeat("x", 5000) + "\r\n", "STAT a b c\r\nEND\r\n"} {
		if got, err := readInfo(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%.40q: got %+v", bad, got)
		}
	}
}

// A server that does not respond delays the others' reports by no more than its time, and no
// page at all.
func TestInfoOfASilentServer(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	w := newWriter(t, "unix:"+ln.Addr().String())
	began := time.Now()
	all := w.Info(t.Context())
	if len(all) != 1 || all[0].Err == nil || all[0].Addr == "" || time.Since(began) > 30*time.Second {
		t.Errorf("got %+v after %v", all, time.Since(began))
	}
	if s := w.Stats().Servers[0]; s.Failed != 0 || s.Breaker == BreakerOpen {
		t.Errorf("it counts against the server: %+v", s)
	}
}

func testInfo(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	put(t, w, page("a", "hello"))
	settled(t, w)
	in := w.Info(t.Context())[0]
	if in.Err != nil || in.Items == 0 || in.Bytes == 0 || in.Limit == 0 || in.Version == "" || in.Connections == 0 {
		t.Errorf("got %+v", in)
	}
}

// A survey sees what was stored and what was read, without the records, and ends at its limit;
// the server can be listed again at once.
func testSurvey(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	w.Subject = func(key string) (Subject, bool) {
		host, uri, ok := strings.Cut(strings.TrimPrefix(key, "http://"), "/")
		return Subject{Host: host, URI: "/" + uri}, ok
	}
	for i := range 50 {
		put(t, w, Entry{Key: fmt.Sprintf("http://a.example/p q%d", i), Body: []byte("hello"), Expires: time.Now().Add(time.Hour)})
	}
	settled(t, w)
	ask(t, m, "get http://a.example/p%20q7", "")
	put(t, w, Entry{Key: "mine", Body: []byte("hello"), Expires: time.Now().Add(time.Hour)})
	settled(t, w)
	for range 3 {
		seen, fetched, known := 0, "", 0
		ends := w.Survey(t.Context(), 1000, func(s Sighting) {
			seen++
			if s.Known {
				known++
			}
			if s.Fetched {
				fetched += s.Key
			}
			if left := time.Until(s.Expires); s.Size < 5 || left < 50*time.Minute || left > time.Hour+time.Minute || time.Since(s.Accessed) > 10*time.Minute {
				t.Errorf("saw %+v", s)
			}
		})
		if len(ends) != 1 || ends[0].Err != nil || !ends[0].Whole || ends[0].Seen != 51 || seen != 51 || known != 50 || fetched != "http://a.example/p q7" {
			t.Fatalf("ends %+v, seen %d, known %d, fetched %q", ends, seen, known, fetched)
		}
		n := 0
		ends = w.Survey(t.Context(), 10, func(Sighting) { n++ })
		if n != 10 || ends[0].Seen != 10 || ends[0].Whole || ends[0].Err != nil {
			t.Fatalf("limited: %d, ends %+v", n, ends)
		}
	}
}
