package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/uwsgi"
)

// A victim is a visitor beside whom others attack the gateway. Its responses are its own.
type victim struct {
	b    *bench
	all  sync.WaitGroup
	stop atomic.Bool
	runs atomic.Int64
}

func (b *bench) victims() *victim {
	v := &victim{b: b}
	for i := range 2 {
		v.all.Go(func() {
			for n := 0; !v.stop.Load(); n++ {
				uri := fmt.Sprintf("/victim/%d/%d", i, n)
				if got := b.get(uri); got.status != 200 || got.body != "page of "+uri || got.err != nil {
					b.t.Errorf("the victim of %s got %.200q, %v", uri, got.raw, got.err)
				}
				if got := b.ask(uploadingTo(uri, 7), []byte("its own")); got.body != uri+" got its own" {
					b.t.Errorf("the victim's POST to %s got %.200q, %v", uri, got.raw, got.err)
				}
				v.runs.Add(1)
			}
		})
	}
	return v
}

func uploadingTo(uri string, length int) uwsgi.Vars {
	return request("POST", uri, uwsgi.Var{Name: "CONTENT_LENGTH", Value: strconv.Itoa(length)})
}

// ends waits for one more round, in which nobody attacks any more.
func (v *victim) ends() {
	v.b.t.Helper()
	n := v.runs.Load()
	eventually(v.b.t, "the victims get on", func() bool { return v.runs.Load() > n+4 })
	v.stop.Store(true)
	v.all.Wait()
}

// serveVictims responds to victims, and to all others by other. It checks what a worker must
// never see.
func serveVictims(t *testing.T, other script) script {
	return func(nc net.Conn, req *uwsgi.Request, in *bufio.Reader) {
		if req.IsPing() { // a probe
			return
		}
		for _, v := range req.Vars {
			if strings.HasPrefix(v.Name, "UWSGI_") || strings.HasPrefix(v.Name, "CACHE_") || strings.ContainsAny(v.Name+v.Value, "\r\n\x00") || req.Vars.Count(v.Name) > 1 {
				t.Errorf("a worker got %q = %.100q", v.Name, v.Value)
			}
		}
		if req.Modifier1 != 0 || req.Modifier2 != 0 {
			t.Errorf("a worker got the modifiers %d, %d", req.Modifier1, req.Modifier2)
		}
		uri := req.Vars.Get("REQUEST_URI")
		length, _ := req.ContentLength()
		switch {
		case !strings.HasPrefix(uri, "/victim/"):
			other(nc, req, in)
		case length > 0:
			body := make([]byte, length)
			io.ReadFull(in, body)
			io.WriteString(nc, okPage(uri+" got "+string(body)))
		default:
			io.WriteString(nc, okPage("page of "+uri))
		}
	}
}

// packet is a block of these bytes with a head that says so, or another length.
func packet(modifier1 byte, length int, block []byte) []byte {
	return append([]byte{modifier1, byte(length), byte(length >> 8), 0}, block...)
}

func field(text string) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(text))), text...)
}

// encodeAny makes a packet of vars that no decent client sends.
func encodeAny(vars uwsgi.Vars) []byte {
	var block []byte
	for _, v := range vars {
		block = append(append(block, field(v.Name)...), field(v.Value)...)
	}
	return packet(0, len(block), block)
}

// attacks are what clients send.
func attacks(t *testing.T) map[string][]byte {
	valid := encode(t, request("GET", "/attack"))
	block := valid[4:]
	with := func(more ...uwsgi.Var) []byte { return encodeAny(append(request("GET", "/attack"), more...)) }
	all := map[string][]byte{
		"HTTP": []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), "zeros": make([]byte, 10000), "ones": bytes.Repeat([]byte{0xff}, 10000),
		"a length that is too long": packet(0, len(block)+1, block), "a length that is too short": packet(0, len(block)-1, block), "the longest block": packet(0, 65535, bytes.Repeat([]byte{'x'}, 65535)),
		"a name that is too long": packet(0, 6, []byte{0xff, 0xff, 'a', 0, 0, 0}), "a value that is too long": packet(0, 6, append(field("AB"), 0xff, 0xff)),
		"a name without a value": packet(0, 4, field("AB")), "an empty name": packet(0, 4, append(field(""), field("")...)),
		"a block of empty vars":     packet(0, 65532, make([]byte, 65532)),
		"a body that does not end":  append(encode(t, uploadingTo("/attack", 5)), bytes.Repeat([]byte("endless"), 200_000)...),
		"a body that does not come": encode(t, uploadingTo("/attack", 1<<30)), "half of a body": append(encode(t, uploadingTo("/attack", 100<<10)), make([]byte, 50<<10)...),
		"two requests": append(append([]byte(nil), valid...), valid...),
		"two lengths":  encodeAny(append(uploadingTo("/attack", 5), uwsgi.Var{Name: "CONTENT_LENGTH", Value: "50"})),
		"chunked":      with(uwsgi.Var{Name: "HTTP_TRANSFER_ENCODING", Value: "chunked"}), "a length in a header": with(uwsgi.Var{Name: "HTTP_CONTENT_LENGTH", Value: "50"}),
		"a negative length": with(uwsgi.Var{Name: "CONTENT_LENGTH", Value: "-5"}), "a long length": with(uwsgi.Var{Name: "CONTENT_LENGTH", Value: "99999999999999999999"}),
		"a line feed in a value": with(uwsgi.Var{Name: "HTTP_X", Value: "a\r\nSet-Cookie: x=1"}), "a line feed in a name": with(uwsgi.Var{Name: "HTTP_X\n", Value: "a"}),
		"a zero in a value": with(uwsgi.Var{Name: "HTTP_X", Value: "a\x00b"}), "a line feed in the key": encodeAny(missed("/attack", uwsgi.Var{Name: "CACHE_KEY", Value: "k\r\nset k:/victim/0/0 0 0 3\r\nbad\r\n"})),
		"a line feed in the URI": encodeAny(missed("/attack\r\nset x 0 0 1\r\ny")),
	}
	var many []byte
	for i := range 5000 {
		many = append(append(many, field(fmt.Sprint(i))...), field("")...)
	}
	all["5000 vars"] = packet(0, len(many), many)
	for _, name := range []string{"FILE", "SCRIPT", "MODULE", "CALLABLE", "PYHOME", "CHDIR", "SETENV", "APPID", "SCHEME", "POSTFILE", "TOUCH_RELOAD", "CACHE_GET"} {
		all["UWSGI_"+name] = with(uwsgi.Var{Name: "UWSGI_" + name, Value: "/etc/passwd"})
	}
	for m := 1; m < 256; m++ {
		all[fmt.Sprintf("modifier %d", m)] = append([]byte{byte(m)}, valid[1:]...)
		all[fmt.Sprintf("modifier2 %d", m)] = append(append([]byte(nil), valid[:3]...), append([]byte{byte(m)}, block...)...)
	}
	for n := 1; n < len(valid); n++ {
		all[fmt.Sprintf("the first %d bytes", n)] = valid[:n]
	}
	return all
}

// Whatever clients send, however they leave: other visitors get their own pages, workers
// see nothing of it that they may not, and what it took is given back.
func TestHostileClients(t *testing.T) {
	onEach(t, func(t *testing.T, network string) {
		discard := func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) { io.WriteString(nc, okPage("attack")) }
		b := startBench(t, network, func(g *Gateway) {
			g.Timeouts.Head, g.Timeouts.Idle, g.Timeouts.Linger = 5*time.Second, 5*time.Second, time.Second
		}, startWorkerOn(t, network, serveVictims(t, discard)))
		known := attacks(t)
		v := b.victims()
		places := make(chan struct{}, 16)
		var all sync.WaitGroup
		for name, bytes := range known {
			leaves := []func(net.Conn){func(nc net.Conn) { nc.Close() }, closeHard}
			if !strings.HasPrefix(name, "the first ") { // else the gateway waits for the rest
				leaves = append(leaves, func(nc net.Conn) { io.Copy(io.Discard, nc); nc.Close() })
			}
			for _, leave := range leaves {
				places <- struct{}{}
				all.Go(func() {
					defer func() { <-places }()
					nc, err := net.Dial(network, b.addr)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					nc.SetDeadline(time.Now().Add(patience))
					nc.Write(bytes)
					leave(nc)
				})
			}
		}
		all.Go(func() { handshakes(t, network, b.addr) })
		all.Go(func() { drips(network, b.addr, encode(t, request("GET", "/slow"))) })
		all.Wait()
		v.ends()
		eventually(t, "all requests have ended", func() bool { return b.Stats().Requests.InFlight == 0 })
		if s := b.Stats(); s.Spool.Memory != 0 || s.Spool.Disk != 0 || s.Spool.Files != 0 {
			t.Errorf("bodies are left behind: %+v", s.Spool)
		}
		for key, it := range b.contents() {
			if strings.ContainsAny(key, "\r\n") || it.body == "bad" {
				t.Errorf("memcached holds %q: %q", key, it.body)
			}
		}
		if heap := heapInUse(); heap > 256<<20 {
			t.Errorf("%d bytes of memory in use afterwards", heap)
		}
	})
}

// handshakes speaks TLS to a port that does not.
func handshakes(t *testing.T, network, addr string) {
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if tls.Client(nc, &tls.Config{InsecureSkipVerify: true}).Handshake() == nil {
		t.Error("a handshake has succeeded")
	}
}

// drips sends one byte at a time until it is thrown out.
func drips(network, addr string, packet []byte) {
	nc, err := net.Dial(network, addr)
	if err != nil {
		return
	}
	defer nc.Close()
	for i := range packet {
		if _, err := nc.Write(packet[i : i+1]); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A misdeed is what a worker sends. Nothing of it may be stored.
type misdeed struct {
	name   string
	sends  string
	repeat string // and this without an end
	reset  bool
}

func misdeeds() []misdeed {
	valid := okPage("a page that breaks off")
	all := []misdeed{
		{name: "nothing"}, {name: "nonsense", sends: "what?\r\n\r\n"}, {name: "HTTP/0.9", sends: "<html>hello</html>"},
		{name: "zeros", sends: strings.Repeat("\x00", 5000)}, {name: "a status of four digits", sends: "HTTP/1.1 2000 OK\r\n\r\n"}, {name: "status 42", sends: "HTTP/1.1 042 OK\r\n\r\n"},
		{name: "a head without an end", sends: "HTTP/1.1 200 OK\r\n", repeat: "X-Y: z\r\n"}, {name: "a header without an end", sends: "HTTP/1.1 200 OK\r\nX-Y: ", repeat: "z"},
		{name: "interim responses without an end", repeat: "HTTP/1.1 103 Early Hints\r\n\r\n"},
		{name: "a body without an end", sends: "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", repeat: "endless "},
		{name: "more than it announced", sends: "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 5\r\n\r\n", repeat: "endless "},
		{name: "a length of many digits", sends: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello"}, {name: "a negative length", sends: "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"},
		{name: "two lengths", sends: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello"}, {name: "a length and chunks", sends: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello"},
		{name: "a chunk of many digits", sends: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello"}, {name: "chunks without an end", sends: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", repeat: "5\r\nhello\r\n"},
		{name: "a chunk that is cut", sends: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello"},
		{name: "a header without a colon", sends: "HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 5\r\n\r\nhello"}, {name: "a carriage return in a header", sends: "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello"},
	}
	for n := 1; n < len(valid); n++ {
		all = append(all, misdeed{name: fmt.Sprintf("the first %d bytes", n), sends: valid[:n], reset: n%2 == 0})
	}
	return all
}

// Whatever workers send: other visitors get their own pages, nothing of it is stored, and the
// request ends.
func TestHostileWorkers(t *testing.T) {
	onEach(t, func(t *testing.T, network string) {
		deeds := misdeeds()
		b := startBench(t, network, func(g *Gateway) { g.Timeouts.FirstByte, g.Timeouts.Idle = 10*time.Second, 10*time.Second },
			startWorkerOn(t, network, serveVictims(t, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
				n, _ := strconv.Atoi(strings.TrimPrefix(req.Vars.Get("REQUEST_URI"), "/bad/"))
				deeds[n].do(nc)
			})))
		v := b.victims()
		places := make(chan struct{}, 16)
		var all sync.WaitGroup
		for n, d := range deeds {
			places <- struct{}{}
			all.Go(func() {
				defer func() { <-places }()
				nc := b.dial()
				defer nc.Close()
				nc.Write(encode(t, missed(fmt.Sprintf("/bad/%d", n))))
				if _, err := io.CopyN(io.Discard, nc, 4<<20); isTimeout(err) {
					t.Errorf("%s: the request does not end", d.name)
				}
			})
		}
		all.Wait()
		v.ends()
		eventually(t, "all requests have ended", func() bool { return b.Stats().Requests.InFlight == 0 })
		if s := b.Stats(); s.Requests.Captures != 0 {
			t.Errorf("%d bytes of copies are left behind", s.Requests.Captures)
		}
		for key := range b.contents() {
			if n, err := strconv.Atoi(strings.TrimPrefix(key, "k:/bad/")); err == nil {
				t.Errorf("%s is stored", deeds[n].name)
			}
		}
		if heap := heapInUse(); heap > 256<<20 {
			t.Errorf("%d bytes of memory in use afterwards", heap)
		}
	})
}

func (d misdeed) do(nc net.Conn) {
	io.WriteString(nc, d.sends)
	for d.repeat != "" {
		if _, err := io.WriteString(nc, strings.Repeat(d.repeat, 1000)); err != nil {
			break
		}
	}
	if d.reset {
		closeHard(nc)
	}
}
