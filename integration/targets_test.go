package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// nginx sends subrequests and redirects besides the requests of visitors. None of them
// is stored as the page that it belongs to, and no page waits for them.
func TestSubrequestsAreNoPages(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{Conf: filepath.Join("testdata", "targets", "nginx.conf"), App: filepath.Join("testdata", "targets"), Workers: 4})
	page := func(pathAndQuery string) string {
		path, query, _ := strings.Cut(pathAndQuery, "?")
		return fmt.Sprintf("[http://127.0.0.1%s %s]http", path, query)
	}
	tests := []struct {
		name, path string
		want       []string // the parts of the page, in any order
		status     int      // 0: 200
		stored     []string // paths whose keys are there in the end
		never      []string // those that never are, besides the page's own
	}{
		{"ordinary page", "/page?a=1", []string{page("/page?a=1")}, 0, []string{"/page?a=1"}, nil},
		{"SSI", "/member", []string{page("/member"), page("/frag?in=member")}, 0, nil, []string{"/frag?in=member"}},
		{"SSI, two at once", "/two", []string{page("/two"), page("/uri/frag1"), page("/uri/frag2")}, 0, nil, nil},
		{"SSI, two at once, keys of $uri", "/uri/two", []string{page("/uri/two"), page("/uri/frag3"), page("/uri/frag4")}, 0, nil, nil},
		{"SSI of the page itself", "/self", []string{page("/self"), page("/self?part=1")}, 0, nil, []string{"/self", "/self?part=1"}},
		{"auth_request that is looked up", "/prot/page", []string{page("/prot/page")}, 0, nil, []string{"/prot/page", "/auth"}},
		{"auth_request", "/asked/page", []string{page("/asked/page")}, 0, []string{"/asked/page"}, []string{"/asked"}},
		{"mirror", "/mirrored/page", []string{page("/mirrored/page")}, 0, []string{"/mirrored/page"}, []string{"/mirror"}},
		{"add_before_body", "/added/page", []string{page("/uri/before"), page("/added/page"), page("/uri/after")}, 0, []string{"/added/page"}, nil},
		{"return 503", "/down", []string{page("/sorry/")}, 0, nil, []string{"/sorry/", "/down"}},
		{"try_files", "/tried", []string{page("/instead?really=yes")}, 0, nil, []string{"/tried", "/instead?really=yes"}},
		{"key of the path alone", "/path/list?page=9", []string{page("/path/list?page=9")}, 0, nil, []string{"/path/list"}},
		{"key of the path alone, without arguments", "/path/list", []string{page("/path/list")}, 0, []string{"/path/list"}, nil},
		{"page beside it, without arguments", "/uri/frag", []string{page("/uri/frag")}, 0, []string{"/uri/frag"}, nil},
		{"missing page", "/missing", []string{page("/missing")}, 404, nil, []string{"/missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{w.Stack, t}
			for visitor := range 3 {
				got := w.fetch("GET", tt.path, "")
				w.settle()
				if want := max(tt.status, 200); got.status != want {
					t.Fatalf("visitor %d: status %d, want %d: %q", visitor, got.status, want, got.body)
				}
				rest := got.body
				for _, part := range tt.want {
					if strings.Count(rest, part) != 1 {
						t.Errorf("visitor %d got %q, want %q in it once", visitor, got.body, part)
					}
					rest = strings.Replace(rest, part, "", 1)
				}
				if rest != "" {
					t.Errorf("visitor %d also got %q", visitor, rest)
				}
			}
			for _, path := range tt.stored {
				w.wantKey("http://127.0.0.1" + path)
			}
			for _, path := range tt.never {
				if w.has("http://127.0.0.1" + path) {
					t.Errorf("%s is stored", path)
				}
			}
		})
	}
	t.Run("what is stored is right", func(t *testing.T) {
		w := &world{w.Stack, t}
		for _, key := range w.keys() {
			path, isPage := strings.CutPrefix(key, "http://127.0.0.1")
			if !isPage {
				continue
			}
			value := strings.Join(w.talk(w.Memcached[0].Addr, "get "+key+"\r\n", "END"), "\n")
			if !strings.Contains(value, page(path)) {
				t.Errorf("%s holds %q", key, value)
			}
		}
	})
}

// A temporary rewrite is not stored as the page. A permanent one is, with
// --allow-rewrites.
func TestRewrites(t *testing.T) {
	t.Parallel()
	conf, app := filepath.Join("testdata", "targets", "nginx.conf"), filepath.Join("testdata", "targets")
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		w := start(t, stack.Config{Conf: conf, App: app})
		flag := filepath.Join(w.Dir, "maintenance")
		if err := os.WriteFile(flag, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := w.fetch("GET", "/home", ""); !strings.Contains(got.body, "/sorry") {
			t.Fatalf("got %q, want the maintenance page", got.body)
		}
		w.settle()
		if line := w.line("/home"); line.Reason != "rewritten" {
			t.Errorf("logged %q, want rewritten", line.Reason)
		}
		os.Remove(flag)
		if got := w.fetch("GET", "/home", ""); !strings.Contains(got.body, "/home ]") {
			t.Errorf("after maintenance: %q", got.body)
		}
		// For a while the key is not filled, because nginx looked it up for another
		// target.
		w.eventually("/home is stored", func() bool {
			w.fetch("GET", "/home", "")
			return w.has("http://127.0.0.1/home")
		})
	})
	t.Run("allowed", func(t *testing.T) {
		t.Parallel()
		w := start(t, stack.Config{Conf: conf, App: app, Args: []string{"--allow-rewrites"}})
		if err := os.WriteFile(filepath.Join(w.Dir, "maintenance"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		w.fetch("GET", "/home", "")
		w.wantKey("http://127.0.0.1/home")
	})
}

// In the format http, a page that nginx serves instead of another has its own status.
func TestInternalRedirectsInFormatHTTP(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{
		Format: "http", App: filepath.Join("testdata", "targets"),
		Edits: [][2]string{{"    include uwsgi_params;", "    uwsgi_intercept_errors on; error_page 404 /notfound/; include uwsgi_params;"}},
	})
	for _, tt := range []struct {
		path, shows string
		status      int
	}{
		{"/missing", "/notfound/", 404},
		{"/accel", "/inner/secret", 200},
	} {
		for visitor := range 3 {
			got := w.fetch("GET", tt.path, "")
			w.settle()
			if got.status != tt.status || !strings.Contains(got.body, tt.shows) {
				t.Errorf("%s: visitor %d got %d %q, want %d with %s", tt.path, visitor, got.status, got.body, tt.status, tt.shows)
			}
		}
		if key := "http://127.0.0.1" + tt.path; slices.Contains(w.keys(), key) {
			t.Errorf("%s is stored", key)
		}
	}
	w.fetch("GET", "/page", "")
	w.wantKey("http://127.0.0.1/page")
}

// The application uses the scheme that a proxy sends, so the key must use it, too. The
// printed key does. Under a key with nginx's own scheme, a page is not stored if the
// proxy sends another scheme.
func TestForwardedScheme(t *testing.T) {
	t.Parallel()
	const proxys, own = "$visitors_scheme://$host", "$scheme://$host"
	for _, tt := range []struct {
		name   string
		edits  [][2]string
		reason string // of the page for https
		stored bool
	}{
		{"printed", nil, "max-age", true},
		{"nginx's own scheme", [][2]string{{proxys, own}}, "scheme", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{App: filepath.Join("testdata", "targets"), Edits: tt.edits, Args: []string{"--trust-forwarded-proto"}})
			a := &app{w, w.AccessReader()}
			v := a.visit("GET", "/page", "X-Forwarded-Proto: https")
			if !strings.HasSuffix(v.body, "]https") || v.reason() != tt.reason || a.has("http://127.0.0.1/page") {
				t.Errorf("for https: got %q, %s; http://127.0.0.1/page stored: %v", v.body, v.reason(), a.has("http://127.0.0.1/page"))
			}
			if stored := a.has("https://127.0.0.1/page"); stored != tt.stored {
				t.Errorf("https://127.0.0.1/page stored: %v", stored)
			}
			for _, reason := range []string{"max-age", "hit"} {
				if v := a.visit("GET", "/page", "X-Forwarded-Proto: http"); !strings.HasSuffix(v.body, "]http") || v.reason() != reason {
					t.Errorf("for http: got %q, %s; want %s", v.body, v.reason(), reason)
				}
			}
			if v := a.visit("GET", "/page", "X-Forwarded-Proto: https"); tt.stored && (v.reason() != "hit" || !strings.HasSuffix(v.body, "]https")) {
				t.Errorf("for https again: got %q, %s", v.body, v.reason())
			}
		})
	}
}

// The other headers of a load balancer that ends TLS only repeat the scheme.
func TestBehindALoadBalancer(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{App: filepath.Join("testdata", "targets"), Args: []string{"--trust-forwarded-proto"}})
	const balancer = "X-Forwarded-Proto: https\nX-Forwarded-Port: 443\nX-Amzn-Trace-Id: Root=1-67"
	secure := w.fetch("GET", "/page", balancer)
	if !strings.HasSuffix(secure.body, "https") {
		t.Fatalf("the application does not see the scheme: %q", secure.body)
	}
	w.wantKey("https://127.0.0.1/page")
	if got := w.fetch("GET", "/page", "X-Forwarded-Proto: http"); !strings.HasSuffix(got.body, "http") {
		t.Errorf("a visitor over http got %q", got.body)
	}
	w.wantKey("http://127.0.0.1/page")
	if got := w.fetch("GET", "/page", balancer); got.body != secure.body || got.header.Get("Cache-Status") != "" {
		t.Errorf("the next visitor over https got %q, Cache-Status %s; want a hit of %q", got.body, got.header.Get("Cache-Status"), secure.body)
	}
	w.fetch("GET", "/port", "X-Forwarded-Proto: https\nX-Forwarded-Port: 8443")
	w.settle()
	if line := w.line("/port"); line.Reason != "unkeyed-header" {
		t.Errorf("another port: logged %q, want unkeyed-header", line.Reason)
	}
}
