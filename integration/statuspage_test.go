package integration

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// fillPage stores a page, and returns its URL and its key.
func (w *world) fillPage(path string) (page, key string) {
	w.t.Helper()
	w.want(w.get(path), 200)
	w.settle()
	for _, key := range w.keys() {
		if strings.HasSuffix(key, path) && !strings.HasPrefix(key, "uwg:") {
			w.wantKey(key)
			return w.URL(path), key
		}
	}
	w.t.Fatalf("%s is not stored: %q", path, w.keys())
	return "", ""
}

// post sends a form to the status page.
func (w *world) post(path string, form url.Values) page {
	w.t.Helper()
	req, err := http.NewRequest("POST", "http://"+w.Admin+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("me", adminToken)
	return w.send(http.DefaultTransport, req)
}

var formToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// The status page of a running gateway explains a page as the command does, and purges it.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{Args: append(tellsHits(t), "--admin-token", adminToken)})
	target, key := w.fillPage("/articles/")
	req, err := http.NewRequest("GET", "http://"+w.Admin+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	w.want(w.send(http.DefaultTransport, req), 401)
	req.SetBasicAuth("me", adminToken)
	p := w.want(w.send(http.DefaultTransport, req), 200)
	for _, want := range []string{"storing pages", w.UWSGI.Addr, w.Memcached[0].Addr, "default-ttl"} {
		if !strings.Contains(p.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	form := url.Values{"token": formToken.FindStringSubmatch(p.body)[1:], "url": {target}, "scope": {"page"}}
	if p := w.want(w.post("/explain", form), 200); !strings.Contains(p.body, "Would be stored for ") || !strings.Contains(p.body, key) {
		t.Errorf("explain: %s", p.body)
	}
	if w.want(w.post("/purge", form), 200); !w.has(key) {
		t.Error("the page was purged before somebody confirmed it")
	}
	form.Set("confirm", "yes")
	if p := w.want(w.post("/purge", form), 200); !strings.Contains(p.body, "Purged: done") || w.has(key) {
		t.Errorf("purge: %s", p.body)
	}
}

// tunnel is the way of a browser to the admin API: it sends the token.
func (w *world) tunnel() (base string) {
	w.t.Helper()
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", w.Admin
		r.Out.Header.Set("Authorization", "Bearer "+adminToken)
	}}
	srv := httptest.NewServer(proxy)
	w.t.Cleanup(srv.Close)
	return srv.URL
}

// A browser shows the page at the width of a phone and in both themes, and somebody with a
// keyboard explains and purges a page. The policy lets the page's own script run, and no
// request leaves for elsewhere.
func TestStatusPageInBrowser(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("UWGATE_TEST_BROWSER") == "" {
		t.Skip("there is no chromium; UWGATE_TEST_BROWSER=1 requires one")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	w := start(t, stack.Config{Args: append(tellsHits(t), "--admin-token", adminToken)})
	target, key := w.fillPage("/articles/")
	req, err := http.NewRequest("GET", w.URL("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "/?<script>document.title='run'</script>" // as it is; it is among the slowest requests
	w.want(w.send(http.DefaultTransport, req), 200)
	w.settle()
	base := w.tunnel()
	b := startBrowser(t, path)
	b.open(base + "/")
	if got := b.text("document.querySelector('#slowest + .source + .note + .scroll').textContent.includes('script>document.title')"); got != "true" {
		t.Errorf("the slowest requests lack the one with a script: %s", got)
	}
	light := b.text("getComputedStyle(document.body).backgroundColor")
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": "dark"}}})
	if dark := b.text("getComputedStyle(document.body).backgroundColor"); dark == light {
		t.Errorf("both themes are %s", dark)
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": true})
	if wide := b.text("document.documentElement.scrollWidth > 320"); wide != "false" {
		t.Error("the page is wider than a phone")
	}
	before := b.text("document.getElementById('when').textContent")
	b.wait("document.getElementById('when').textContent !== " + quoteJS(before)) // the script works
	b.tabTo("#url")
	b.call("Input.insertText", map[string]any{"text": target})
	b.press("Enter")
	b.wait("document.querySelector('.verdict')?.textContent.startsWith('Would be stored')")
	b.tabTo("[formaction=purge]")
	b.press("Enter")
	b.wait("document.title.startsWith('Purge?')")
	if !w.has(key) {
		t.Error("the page was purged before somebody confirmed it")
	}
	b.tabTo(".danger")
	b.press("Enter")
	b.wait("document.title.startsWith('Purged')")
	if w.has(key) {
		t.Error("the page was not purged")
	}
	for _, u := range b.requests {
		if !strings.HasPrefix(u, base) && !strings.HasPrefix(u, "data:") {
			t.Errorf("the browser requested %s", u)
		}
	}
	if len(b.complaints) > 0 {
		t.Errorf("the browser complains: %q", b.complaints)
	}
}
