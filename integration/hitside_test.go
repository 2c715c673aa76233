package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/demo/stack"
	"uwgate/gateway/admin"
)

// tellsHits are flags with which nginx tells a gateway of its hits, by UDP.
func tellsHits(t *testing.T) []string {
	t.Helper()
	ports, err := stack.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--hits-listen", ports[0]}
}

// status is what the API of a gateway says.
func (w *world) status() *admin.Status {
	w.t.Helper()
	req, err := http.NewRequest("GET", "http://"+w.Admin+"/api/v1/status", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	p := w.want(w.send(http.DefaultTransport, req), 200)
	s := &admin.Status{}
	if err := json.Unmarshal([]byte(p.body), s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// visits are what a load generator has counted of a host.
type visits struct{ hits, misses, skipped uint64 }

// load requests the pages of a host again and again, and counts hits and misses by what the
// header of uwgate's own responses says.
func (w *world) load(host string, pages, rounds int) (n visits) {
	w.t.Helper()
	visit := func(method, path string) page {
		req, err := http.NewRequest(method, w.URL(path), nil)
		if err != nil {
			w.t.Error(err)
		}
		req.Host = host
		return w.send(http.DefaultTransport, req)
	}
	for round := range rounds {
		for i := range pages {
			p := visit("GET", fmt.Sprintf("/hitside/%d?q=\"é", i))
			switch {
			case p.err != nil || p.status != 200:
				w.t.Errorf("%s in round %d: %d, %v", host, round, p.status, p.err)
			case !strings.Contains(p.header.Get("Cache-Status"), "fwd="):
				n.hits++
			default:
				n.misses++
			}
		}
		visit("POST", "/hitside/post")
		n.skipped++
		w.settle()
	}
	return n
}

// The hit ratio of each host is what a load generator has counted, in all formats, with
// several memcached servers and gateways: of what nginx tells nothing is lost but what the
// gateway says is lost. The other logs of nginx stay.
func TestHitRatio(t *testing.T) {
	for _, format := range []string{"body", "gzip", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := startFleetOf(t, stack.Config{Format: format, Memcached: 3, Faults: true, Args: append(tellsHits(t), "--admin-token", adminToken)})
			want := map[string]visits{}
			var mu sync.Mutex
			var all sync.WaitGroup
			for host, rounds := range map[string]int{"a.example": 4, "b.example": 2} {
				all.Go(func() {
					n := f.load(host, 12, rounds)
					mu.Lock()
					defer mu.Unlock()
					want[host] = n
				})
			}
			all.Wait()
			if t.Failed() {
				return
			}
			var total uint64
			for _, n := range want {
				total += n.hits + n.misses + n.skipped
			}
			var s *admin.Status
			f.eventually("all lines are counted or lost", func() bool {
				s = f.status()
				lines := s.Hits.Nginx.Lines
				return lines["counted"]+lines["lost"] >= total
			})
			lines, lost := s.Hits.Nginx.Lines, s.Hits.Nginx.Lines["lost"]
			if s.Hits.Source != admin.SourceNginx || !s.Hits.Nginx.CountsLoss || lines["malformed"]+lines["oversized"]+lines["forbidden"] != 0 {
				t.Errorf("hits %+v", s.Hits)
			}
			var missing uint64
			for _, h := range s.Hits.Nginx.Hosts {
				n, ok := want[h.Host]
				if !ok {
					continue
				}
				delete(want, h.Host)
				if h.Requests["hit"] > n.hits || h.Requests["miss"] > n.misses || h.Requests["failed"] != 0 {
					t.Errorf("%s: nginx tells of %v, and the visitors have counted %+v", h.Host, h.Requests, n)
				}
				missing += n.hits + n.misses + n.skipped - h.Requests["hit"] - h.Requests["miss"] - h.Requests["skipped"]
				if lost == 0 && (h.Ratio == nil || *h.Ratio != float64(n.hits)/float64(n.hits+n.misses)) {
					t.Errorf("%s: the ratio is %v, and the visitors have counted %+v", h.Host, h.Ratio, n)
				}
				if n.hits == 0 || h.Bytes["hit"] == 0 || h.Seconds["miss"] < 0 || h.Statuses["hit"]["2xx"] != h.Requests["hit"] {
					t.Errorf("%s: %+v", h.Host, h)
				}
			}
			if len(want) > 0 || missing > lost {
				t.Errorf("hosts that are missing: %v; %d lines are missing, of which %d are said to be lost", want, missing, lost)
			}
			if log, err := os.ReadFile(filepath.Join(f.Dir, "nginx.log")); err != nil || strings.Count(string(log), "/hitside/") < int(total) {
				t.Errorf("nginx's own log has %d lines: %v", strings.Count(string(log), "/hitside/"), err)
			}
		})
	}
}

// nginx does not wait for a socket that nobody reads: it serves hits, and drops the lines for
// which there is no room. At the level warn it says so for each.
func TestHitsOfADeafGateway(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "deaf")
	pc, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if err := cmp.Or(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(socket, 0o666)); err != nil {
		t.Fatal(err)
	}
	flags := tellsHits(t)
	w := start(t, stack.Config{Faults: true, Args: flags, Edits: [][2]string{{"syslog:server=" + flags[1], "syslog:server=unix:" + socket}}})
	w.want(w.get("/deaf"), 200)
	w.settle()
	for range 1000 {
		if p := w.want(w.get("/deaf"), 200); p.header.Get("Cache-Status") != "" {
			t.Fatalf("no hit: %v", p.header)
		}
	}
	log, err := os.ReadFile(filepath.Join(w.Dir, "error.log"))
	if err != nil {
		t.Fatal(err)
	}
	dropped, kept := 0, 0
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, "[warn]") || !strings.Contains(line, "send() to syslog failed while logging request") {
			t.Errorf("nginx logs %s", line)
		}
		dropped++
	}
	pc.SetReadDeadline(time.Now().Add(time.Second))
	for b := make([]byte, 4096); ; kept++ {
		if _, _, err := pc.ReadFrom(b); err != nil {
			break
		}
	}
	if dropped == 0 || kept == 0 || dropped+kept != 1001 {
		t.Errorf("of 1001 lines nginx has dropped %d, and the socket holds %d", dropped, kept)
	}
}

// nginx hands its request id over, and the worker does not get it.
func TestRequestID(t *testing.T) {
	w := start(t, stack.Config{Faults: true, Edits: [][2]string{{"default_type text/html;", "default_type text/html; add_header X-Id $request_id always;"}, {"location @uwgate {", "add_header X-Id $request_id always; location @uwgate {"}}})
	p := w.want(w.get("/identified"), 200)
	l := w.line("/identified")
	if id := p.header.Get("X-Id"); len(id) != 32 || l.ID != id || l.Client != "127.0.0.1" || l.Host != "127.0.0.1" || l.Pool != "default" || l.First <= 0 {
		t.Errorf("nginx says %q, uwgate %+v", p.header.Get("X-Id"), l)
	}
}

// nginx tells the gateway by a UNIX socket, too, and the next process after a restart.
func TestHitsBySocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "uwgate-hits-") // short: it is a part of the socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := start(t, stack.Config{Faults: true, Dir: dir, Args: []string{"--hits-listen", "unix:" + filepath.Join(dir, "hits.sock"), "--admin-token", adminToken}})
	told := func(page string) {
		t.Helper()
		w.want(w.get(page), 200)
		w.settle()
		w.eventually("nginx has told of a hit on "+page, func() bool {
			w.want(w.get(page), 200) // the socket may be full, or not there yet
			s := w.status()
			return s.Hits.Source == admin.SourceNginx && s.Hits.Hits > 0
		})
		s := w.status()
		if n := s.Hits.Nginx; n.CountsLoss || n.Lines["malformed"] != 0 || n.Hosts[0].Host != "127.0.0.1" || n.Pages[0].URI != page {
			t.Errorf("nginx tells %+v", n)
		}
	}
	told("/first")
	if err := w.Uwgate.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Uwgate.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	told("/second")
}
