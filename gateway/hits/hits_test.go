package hits

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test.
const patience = time.Minute

func isStore(addr string) bool { return strings.HasSuffix(addr, ":11211") }

// sent is a datagram of nginx 1.22.1, as it came.
func sent(fields string) string {
	return `<190>Nov 30 17:45:00 uwgate: {"host":"www.example.com","uri":"/a?b=1","status":"200","bytes":"5120","time":"0.004",` + fields + `}`
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, datagram string
		want           Lookup
	}{
		{"hit", sent(`"addr":"127.0.0.1:11211","upstream":"200"`), Hit},
		{"miss", sent(`"addr":"127.0.0.1:11211 : unix:/run/uwgate.sock","upstream":"404 : 200"`), Miss},
		{"hit of the second server", sent(`"addr":"10.0.0.1:11211, 10.0.0.2:11211","upstream":"502, 200"`), Hit},
		{"miss on the second server", sent(`"addr":"10.0.0.1:11211, 10.0.0.2:11211 : unix:/run/uwgate.sock","upstream":"504, 404 : 200"`), Miss},
		{"memcached is down", sent(`"addr":"127.0.0.1:11211 : unix:/run/uwgate.sock","upstream":"502 : 200"`), Failed},
		{"memcached is silent, and nothing catches that", sent(`"addr":"127.0.0.1:11211","upstream":"504"`), Failed},
		{"the client left during the lookup", sent(`"addr":"127.0.0.1:11211","upstream":"-"`), Failed},
		{"not looked up", sent(`"addr":"unix:/run/uwgate.sock","upstream":"200"`), Skipped},
		{"a backup server", sent(`"addr":"unix:/run/uwgate.sock, unix:/run/app.sock","upstream":"502, 200"`), Skipped},
		{"a static file", sent(`"addr":"","upstream":""`), Skipped},
		{"another server's 200", sent(`"addr":"127.0.0.1:3031","upstream":"200"`), Skipped},
		{"srcache's hit", sent(`"addr":"","upstream":"","fetch":"HIT"`), Hit},
		{"srcache's miss", sent(`"addr":"unix:/run/uwgate.sock","upstream":"200","fetch":"MISS"`), Miss},
		{"srcache's bypass", sent(`"addr":"unix:/run/uwgate.sock","upstream":"200","fetch":"BYPASS"`), Skipped},
		{"a field that we do not know", sent(`"addr":"127.0.0.1:11211","upstream":"200","more":"x"`), Hit},
	} {
		got, err := parse([]byte(tt.datagram), isStore)
		want := request{"www.example.com", "/a?b=1", tt.want, 200, 5120, 4 * time.Millisecond}
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", tt.name, got, err)
		}
	}
	for _, bad := range []string{
		"", "<190>", `{"host":"a"}`, `<190>Nov 30 17:45:00 uwgate: {"host":"a"}`, sent(`"addr":"a`), strings.Replace(sent(`"addr":""`), "5120", "-5120", 1),
		strings.Replace(sent(`"addr":""`), "0.004", "NaN", 1), strings.Replace(sent(`"addr":""`), "0.004", "-1", 1), strings.Replace(sent(`"addr":""`), `"200"`, `"2000"`, 1),
		"<190>Nov 30 17:45:00 uwgate: 127.0.0.1 - - [30/Nov/2026] \"GET / HTTP/1.1\" 200 612",
	} {
		if got, err := parse([]byte(bad), isStore); err == nil {
			t.Errorf("%q: got %+v", bad, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sent(`"addr":"127.0.0.1:11211","upstream":"200"`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parse(b, isStore); err == nil && (r.status < 0 || r.status > 999 || r.took < 0 || r.lookup.index() > 3) {
			t.Errorf("%q: got %+v", b, r)
		}
	})
}

// What is read as a plain line is what package json reads.
func FuzzPlain(f *testing.F) {
	f.Add(`{"host":"a","uri":"/","more":"x","status":"200"}`)
	f.Add(`{"host":"a"}x`)
	f.Add(`{}`)
	f.Add(`{"host":"a",}`)
	f.Add(`{"host":"a" ,"uri":"b"}`)
	f.Add(`{"host":"a\u0041"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var plain, want line
		if !plain.readPlain([]byte(text)) {
			return
		}
		lower := strings.ToLower(text) == text // package json takes names in any letters
		if err := json.Unmarshal([]byte(text), &want); err != nil || lower && plain != want {
			t.Errorf("%q: got %+v, want %+v, %v", text, plain, want, err)
		}
	})
}

func TestPlain(t *testing.T) {
	var l line
	if !l.readPlain([]byte(`{"host":"a","uri":"/b?c","status":"200","bytes":"1","time":"2","addr":"3","upstream":"4","fetch":"5","more":"6"}`)) || l != (line{"a", "/b?c", "200", "1", "2", "3", "4", "5"}) {
		t.Errorf("got %+v", l)
	}
	for _, other := range []string{``, `{`, `{}`, `{"a"}`, `{"a":"b"`, `{"a":"b",`, `{"a":"b",}`, `{"a":"b"}}`, `{"a":1}`, `{"a":"\n"}`, `{"a":"é"}`, `{ "a":"b"}`, `{"a":"b"} `} {
		if l.readPlain([]byte(other)) {
			t.Errorf("%q is read as a plain line", other)
		}
	}
}

// receive serves r at a socket, and returns a connection to it.
func receive(t *testing.T, r *Receiver, pc net.PacketConn) net.Conn {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, pc) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	nc, err := net.Dial(pc.LocalAddr().Network(), pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

func bind(t *testing.T, network string) net.PacketConn {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unixgram" {
		at = filepath.Join(t.TempDir(), "s")
	}
	pc, err := net.ListenPacket(network, at)
	if err != nil {
		t.Fatal(err)
	}
	return pc
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// Whatever comes is counted, once, and nothing stops the receiver.
func TestReceiver(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			r := &Receiver{IsStore: isStore, Public: func(uri string) string { return strings.ReplaceAll(uri, "b=1", "…") }}
			nc := receive(t, r, bind(t, network))
			other := strings.Replace(sent(`"addr":"","upstream":""`), `"200"`, `"503"`, 1)
			for _, datagram := range []string{
				sent(`"addr":"127.0.0.1:11211","upstream":"200"`), "nonsense", strings.Repeat("x", 20_000), sent(`"addr":"127.0.0.1:11211","upstream":"200"`),
				sent(`"addr":"127.0.0.1:11211 : unix:/s","upstream":"404 : 200"`), other,
			} {
				if _, err := nc.Write([]byte(datagram)); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all are read", func() bool { return r.Stats().Counted == 4 })
			s := r.Stats()
			if s.Malformed != 1 || s.Oversized != 1 || s.Forbidden != 0 || s.Lost != 0 || !s.Listens || time.Since(s.Last) > patience {
				t.Errorf("stats %+v", s)
			}
			h := s.Hosts[0]
			if len(s.Hosts) != 1 || h.Host != "www.example.com" || h.Hits() != 2 || h.Misses() != 1 || h.Lookups[Skipped].Statuses["5xx"] != 1 || h.Lookups[Hit].Bytes != 10240 || h.Lookups[Hit].Took != 8*time.Millisecond {
				t.Errorf("hosts %+v", s.Hosts)
			}
			if s.Took[Hit].Count != 2 || s.Took[Miss].Count != 1 {
				t.Errorf("took %+v", s.Took)
			}
			if pages := r.Hottest(5); len(pages) != 1 || pages[0] != (Page{"www.example.com", "/a?…", 2}) {
				t.Errorf("pages %+v", pages)
			}
		})
	}
}

// What the kernel has no room for is counted, if the socket is one for UDP on Linux.
func TestLoss(t *testing.T) {
	pc := bind(t, "udp")
	if !countLoss(pc.(*net.UDPConn)) {
		pc.Close()
		t.Skip("the kernel does not count it")
	}
	const total = 20_000
	nc, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for range total {
		nc.Write([]byte(sent(`"addr":"127.0.0.1:11211","upstream":"200"`)))
	}
	r := &Receiver{IsStore: isStore}
	receive(t, r, pc)
	last := 0
	eventually(t, "all are read or lost", func() bool {
		if s := r.Stats(); s.Counted+s.Lost < total+uint64(last) {
			nc.Write([]byte(sent(`"addr":"127.0.0.1:11211","upstream":"200"`))) // which brings the news of what was lost
			last++
			return false
		}
		return true
	})
	if s := r.Stats(); s.Lost == 0 || s.Counted == 0 || !s.CountsLoss || s.Counted+s.Lost != total+uint64(last) {
		t.Errorf("%d sent: stats %+v", total+last, s)
	}
}

func TestForbidden(t *testing.T) {
	r := &Receiver{Peers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for from, want := range map[string]bool{"127.0.0.9": true, "::1": true, "10.1.2.3": true, "192.0.2.1": false, "2001:db8::1": false} {
		if r.mayCome(netip.MustParseAddr(from)) != want {
			t.Errorf("%s may come: %v, want %v", from, !want, want)
		}
	}
	r.take([]byte(sent(`"addr":""`)), netip.MustParseAddr("192.0.2.1"))
	if s := r.Stats(); s.Forbidden != 1 || s.Counted != 0 || len(s.Hosts) != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Hosts and pages that somebody makes up take bounded memory.
func TestBounds(t *testing.T) {
	r := &Receiver{IsStore: isStore}
	for i := range 5000 {
		line := strings.ReplaceAll(sent(`"addr":"127.0.0.1:11211","upstream":"200"`), "www.example.com", fmt.Sprintf("h%d.example.com", i))
		r.take([]byte(line), netip.Addr{})
	}
	if s := r.Stats(); len(s.Hosts) != 101 || s.Counted != 5000 {
		t.Errorf("%d hosts of %d lines", len(s.Hosts), s.Counted)
	}
	if n := len(r.Hottest(10_000)); n > 1024 {
		t.Errorf("%d pages", n)
	}
}

func BenchmarkTake(b *testing.B) {
	r := &Receiver{IsStore: isStore}
	line := []byte(sent(`"addr":"127.0.0.1:11211","upstream":"200"`))
	b.ReportAllocs()
	for b.Loop() {
		r.take(line, netip.Addr{})
	}
}
