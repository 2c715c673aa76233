package page

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"uwgate/gateway"
	"uwgate/gateway/admin"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const adminToken = "0123456789abcdef"

// A site is a Page at a socket. The test plays the browser.
type site struct {
	*Page
	t      *testing.T
	client *http.Client
	base   string // of URLs
}

// newSite serves a page at a UNIX socket, or over TCP.
func newSite(t *testing.T, network, token string) *site {
	t.Helper()
	pool, err := backend.NewPool("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway.Gateway{Backends: &backend.Pools{Default: pool}, Policy: &policy.Policy{}}
	t.Cleanup(g.Backends.Close)
	p := &Page{Admin: &admin.Admin{Gateway: g, Token: token, Version: "1.2.3"}}
	p.Explain = func(_ context.Context, url string) (string, bool, error) {
		if strings.Contains(url, "bad") {
			return "", false, errors.New("bad URL <script>" + url)
		}
		return "Request\n  REQUEST_URI  " + url + "\n\nKey\n  raw  k\n\nWould be stored for 5 s: s-maxage.\n", true, nil
	}
	at := "127.0.0.1:0"
	switch network {
	case "unix":
		at = filepath.Join(t.TempDir(), "s")
	case "abstract":
		network, at = "unix", "@uwgate-page-"+strings.ReplaceAll(t.TempDir(), "/", "-")
	}
	ln, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(p.Handler())
	srv.Listener.Close()
	srv.Listener = ln
	srv.Start()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, ln.Addr().String())
	}}
	t.Cleanup(func() { transport.CloseIdleConnections(); srv.Close() })
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &site{p, t, &http.Client{Transport: transport, CheckRedirect: noRedirects, Timeout: time.Minute}, "http://localhost"}
}

// A response is what came back.
type response struct {
	*http.Response
	body string
}

// do sends a request with fields "Name: value"; a Host among them is the request's.
func (s *site) do(method, path string, form url.Values, fields ...string) response {
	s.t.Helper()
	req, err := http.NewRequest(method, s.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response{resp, string(body)}
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

// token is that of the page's form.
func (s *site) token() string {
	s.t.Helper()
	found := tokenField.FindStringSubmatch(s.do("GET", "/", nil).body)
	if found == nil {
		s.t.Fatal("the page has no form")
	}
	return found[1]
}

// purges is how many purges have been carried out.
func (s *site) purges() int { return len(s.Admin.Gateway.Purges.Recent()) }
