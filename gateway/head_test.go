package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

// in is the bench as a subtest sees it.
func (b *bench) in(t *testing.T) *bench {
	other := *b
	other.t = t
	return &other
}

// withHead is a response whose head has that many bytes, with its lines ended and
// separated like that.
func withHead(size int, status, colon, end string, lines ...string) string {
	head := status + end
	for _, line := range append([]string{"Content-Type: text/html; charset=utf-8", "Content-Length: 5"}, lines...) {
		head += strings.Replace(line, ": ", colon, 1) + end
	}
	for len(head)+len(end) < size {
		name := "X-Fill" + colon
		fill := min(200, size-len(head)-2*len(end)-len(name))
		if rest := size - len(head) - 2*len(end) - len(name) - fill; rest > 0 && rest < 20 {
			fill -= 20 // so that the last line has room for its name
		}
		head += name + strings.Repeat("x", fill) + end
	}
	if len(head)+len(end) != size {
		panic(fmt.Sprintf("head of %d bytes, not %d", len(head)+len(end), size))
	}
	return head + end + "hello"
}

// No head becomes too large for an nginx that has room for the worker's own.
func TestHeadsFitWhereTheWorkersDid(t *testing.T) {
	for _, how := range []struct{ name, status, colon, end string }{
		{"HTTP", "HTTP/1.1 200 OK", ": ", "\r\n"},
		{"no reason", "HTTP/1.1 200", ": ", "\r\n"},
		{"CGI", "Status: 200 OK", ": ", "\r\n"},
		{"no blanks", "HTTP/1.1 200 OK", ":", "\r\n"},
		{"bare LF", "HTTP/1.1 200 OK", ": ", "\n"},
	} {
		for _, align := range []bool{true, false} {
			b := newBench(t, func(g *Gateway) { g.AlignHeaders = align }, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
				size, _ := strconv.Atoi(req.Vars.Get("QUERY_STRING"))
				io.WriteString(nc, withHead(size, how.status, how.colon, how.end))
			})
			for _, size := range []int{120, 3800, 3900, 3950, 3985, 4000, 4008, 4050, 4064, 4080, 4090, 4095, 4096, 4100, 5000, 5100, 5119, 6143, 8000, 8150, 8191, 16383} {
				t.Run(fmt.Sprint(how.name, "/", align, "/", size), func(t *testing.T) {
					b, uri := b.in(t), "/?"+strconv.Itoa(size)
					for _, v := range []uwsgi.Vars{missed(uri), request("GET", uri), missed(uri, uwsgi.Var{Name: "HTTP_COOKIE", Value: "sessionid=x"})} {
						got := b.ask(v, nil)
						head := len(got.raw) - len(got.body)
						if got.status != 200 || got.body != "hello" || head > headLimit(size) {
							t.Errorf("got %d %q with a head of %d bytes, of %d allowed", got.status, got.body, head, headLimit(size))
						}
						if status := got.header.Get("Cache-Status"); status == "" && size%1024 != 0 && head < headLimit(size)-100 || size < 3800 && !strings.Contains(status, "fwd=") {
							t.Errorf("a head of %d bytes, of %d allowed, says %q", head, headLimit(size), status)
						}
						if n := len(got.header.Values("X-Fill")); n != strings.Count(withHead(size, how.status, how.colon, how.end), "X-Fill") {
							t.Errorf("%d lines of the worker's own are left", n)
						}
					}
				})
			}
		}
	}
}

// A CGI script's head that fills nginx's buffer has few lines to write shorter, and
// does not get a status line of ours.
func TestScriptsHeadsFit(t *testing.T) {
	for _, tt := range []struct {
		first  string
		status int
	}{
		{"X-First: 1", 200},
		{"Location: /elsewhere", 302},
		{"Status: 200 OK", 200},
		{"Status: 404", 404},
		{"Status: 999", 999},
	} {
		b := newBench(t, nil, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
			size, _ := strconv.Atoi(req.Vars.Get("QUERY_STRING"))
			head := tt.first + "\r\nContent-Length: 5\r\nX-Fill: "
			io.WriteString(nc, head+strings.Repeat("x", size-len(head)-4)+"\r\n\r\nhello")
		})
		for size := 4070; size <= 4096; size++ {
			for _, v := range []uwsgi.Vars{missed("/?" + strconv.Itoa(size)), request("GET", "/?"+strconv.Itoa(size))} {
				raw := b.ask(v, nil).raw
				resp, err := uwsgi.ReadResponse(bufio.NewReader(strings.NewReader(raw)))
				if err != nil || resp.StatusCode != tt.status || resp.Size > headLimit(size) || !strings.HasSuffix(raw, "\r\n\r\nhello") {
					t.Fatalf("%q, %d bytes: got %+v, %v", tt.first, size, resp, err)
				}
			}
		}
	}
}

func TestHeadLimit(t *testing.T) {
	for size, want := range map[int]int{0: 4095, 1: 4095, 4095: 4095, 4096: 4096, 4097: 5119, 5119: 5119, 5120: 5120, 8191: 8191, 65536: 65536} {
		if got := headLimit(size); got != want {
			t.Errorf("%d: got %d, want %d", size, got, want)
		}
	}
}

// Browsers get no tags that are for caches, whatever becomes of the page.
func TestTagsAreStripped(t *testing.T) {
	for _, keep := range []bool{false, true} {
		b := newBench(t, func(g *Gateway) { g.Policy.Hits.KeepTags = keep }, says("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 5\r\n"+
			"Cache-Control: max-age=60\r\nSurrogate-Key: a b\r\nxkey: c\r\nCache-Tag: d\r\nEdge-Cache-Tag: e\r\nCache-Groups: \"f\"\r\n\r\nhello"))
		for _, v := range []uwsgi.Vars{missed("/"), request("POST", "/"), missed("/", uwsgi.Var{Name: "HTTP_COOKIE", Value: "sessionid=x"})} {
			got := b.ask(v, nil)
			for _, name := range []string{"Surrogate-Key", "Xkey", "Cache-Tag", "Edge-Cache-Tag"} {
				if got.header.Get(name) != "" != keep {
					t.Errorf("%s %s, kept %v: got %q", v.Get("REQUEST_METHOD"), name, keep, got.header.Get(name))
				}
			}
			if got.header.Get("Cache-Groups") != `"f"` {
				t.Errorf("got Cache-Groups %q", got.header.Get("Cache-Groups"))
			}
		}
	}
}
