package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

// The bypass argument's secret stands in no line of the logs and reaches no worker,
// whatever is asked for and whatever becomes of it.
func TestBypassSecretIsTold(t *testing.T) {
	const uri = "/p?a=1&nocache=s3cret"
	more := func(name, value string) uwsgi.Var { return uwsgi.Var{Name: name, Value: value} }
	withKey := more("CACHE_KEY", "http://example.com"+uri)
	for _, tt := range []struct {
		name   string
		packet []byte
	}{
		{"GET", encode(t, request("GET", uri, withKey, more("CACHE_STATUS", "404")))},
		{"GET without a key", encode(t, request("GET", uri))},
		{"GET with a Referer", encode(t, missed(uri, more("HTTP_REFERER", "http://example.com"+uri)))},
		{"HEAD", encode(t, request("HEAD", uri, withKey))},
		{"POST", encode(t, request("POST", uri, withKey))},
		{"PUT", encode(t, request("PUT", uri, withKey, more("CACHE_STATUS", "405")))},
		{"DELETE", encode(t, request("DELETE", uri))},
		{"PURGE", encode(t, request("PURGE", uri))},
		{"no method", encode(t, request("", uri))},
		{"encoded", encode(t, request("POST", "/p?nocache=%733cret"))},
		{"encoded name", encode(t, request("POST", "/p?no%63ache=s3cret"))},
		{"the next page's Referer", encode(t, missed("/q", more("HTTP_REFERER", "http://example.com"+uri)))},
		{"a header of another proxy", encode(t, missed("/q", more("HTTP_X_ORIGINAL_URI", uri)))},
		{"a cookie", encode(t, missed("/q", more("HTTP_COOKIE", "last="+uri)))},
		{"an argument with a URL", encode(t, missed("/login?next=/p%3Fnocache%3Ds3cret"))},
		{"the same, encoded twice", encode(t, missed("/login?next=%2Fp%253Fnocache%253D%2573%2533cret"))},
		{"a request id", encode(t, missed("/q", more("CACHE_REQUEST_ID", uri), more("HTTP_TRACEPARENT", "00-"+uri)))},
		{"in a POST's host and request id", encode(t, request("POST", "/q", more("SERVER_NAME", "s3cret"), more("REQUEST_ID", uri), more("REMOTE_ADDR", uri)))},
		{"in the POST's Referer", encode(t, request("POST", "/q", more("HTTP_REFERER", uri), more("HTTP_ORIGIN", "http://example.com")))},
		{"refused by the firewall", encode(t, request("GET", uri, more("HTTP_X", "a\nb")))},
		{"refused for its length", encode(t, request("POST", uri, more("CONTENT_LENGTH", "s3cret")))},
		{"refused for a space", encode(t, request("GET", uri+" x"))},
		{"malformed", append([]byte{0, 14, 0, 0}, "\x0a\x00x=s3cret\x00\x01\x00y"...)},
		{"refused for its body", encode(t, request("POST", uri, more("CONTENT_LENGTH", "5000000")))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan uwsgi.Vars, 1)
			b := newBench(t, func(g *Gateway) { bypassing(t)(g); g.Uploads.MaxBody = 1 << 20 }, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
				seen <- req.Vars
				io.WriteString(nc, okPage("hello"))
			})
			nc := b.dial()
			nc.Write(tt.packet)
			io.ReadAll(nc)
			nc.Close()
			b.line(0)
			b.close()
			if text := fmt.Sprint(b.Savings(), b.Slowest()); tells(text) {
				t.Errorf("the statistics say %s", text)
			}
			lines := append(b.access.All(), b.logs.All()...)
			for _, l := range lines {
				if text := fmt.Sprint(l.Message, l.ContextMap()); tells(text) {
					t.Errorf("the log says %s", text)
				}
			}
			select {
			case v := <-seen:
				if text := fmt.Sprint(v); tells(text) {
					t.Errorf("the worker got %s", text)
				}
				if !strings.HasPrefix(v.Get("REQUEST_URI"), "/") {
					t.Errorf("the worker got the URI %q", v.Get("REQUEST_URI"))
				}
			default:
			}
		})
	}
}

// tells reports whether the secret stands in a text, however it is encoded.
func tells(text string) bool {
	for _, s := range []string{"s3cret", "%733cret", "2573%2533cret"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// An explanation can be shown around.
func TestExplainTellsNoSecret(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "POST"} {
		b := newBench(t, func(g *Gateway) { g.Policy.Bypass.Name, g.Policy.Bypass.Secret = "fresh", "s3cret!" },
			says(okPage("hello", "Set-Cookie: sid=s3cret!", "Set-Cookie: other=s3same")))
		v := missed("/?fresh=s3cret!&q=%2F%3Ffresh%3Ds3cret%21",
			uwsgi.Var{Name: "REQUEST_METHOD", Value: method}, uwsgi.Var{Name: "HTTP_REFERER", Value: "http://x/?fresh=s3cret!"},
			uwsgi.Var{Name: "HTTP_COOKIE", Value: "sessionid=s3same"}, uwsgi.Var{Name: "HTTP_AUTHORIZATION", Value: "Basic s3same"},
			uwsgi.Var{Name: "HTTP_X_API_KEY", Value: "s3same"}, uwsgi.Var{Name: "REMOTE_USER", Value: "s3same"})
		told, err := json.Marshal(b.Explain(t.Context(), v))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(told), "s3") {
			t.Errorf("%s: %s", method, told)
		}
		for _, name := range []string{"sessionid", "HTTP_X_API_KEY", "REMOTE_USER", "fresh"} {
			if !strings.Contains(string(told), name) {
				t.Errorf("%s: %s is not named in %s", method, name, told)
			}
		}
	}
}
