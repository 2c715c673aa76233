package stack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the site without uwgate.
func start(t *testing.T, cfg Config) *Stack {
	t.Helper()
	if err := Installed(); err != nil {
		if os.Getenv("UWGATE_TEST_STACK") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) (status int, body string) {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", resp.Request.URL, err)
	}
	return resp.StatusCode, string(b)
}

// put stores a value as a gateway would.
func put(t *testing.T, addr, key, value string) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "set %s 0 60 %d\r\n%s\r\nquit\r\n", key, len(value), value)
	reply, err := io.ReadAll(nc)
	if err != nil || string(reply) != "STORED\r\n" {
		t.Fatalf("set %s on %s: %q, %v", key, addr, reply, err)
	}
}

func TestConfigurations(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		key  string // of /articles/
	}{
		{"recommended", Config{}, "http://127.0.0.1/articles/"},
		{"recommended, two", Config{Memcached: 2}, "http://127.0.0.1/articles/"},
		{"recommended, two, modulo", Config{Memcached: 2, Hash: "modulo"}, "http://127.0.0.1/articles/"},
		{"recipe", Config{Conf: "recipe"}, ":1:CUSTOMKEY:/articles/"},
		{"recipe, two", Config{Conf: "recipe", Memcached: 2}, ":1:CUSTOMKEY:/articles/"},
		{"recipe, two, round robin", Config{Conf: "recipe", Memcached: 2, Hash: "none"}, ":1:CUSTOMKEY:/articles/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.cfg)
			status, body := fetch(t, s.URL("/articles/"))
			if status != 200 || !strings.Contains(body, "Café crème") {
				t.Fatalf("miss: got %d %q, want the list from Django", status, body)
			}
			for _, m := range s.Memcached {
				put(t, m.Addr, tt.key, "from memcached")
			}
			if status, body := fetch(t, s.URL("/articles/")); status != 200 || body != "from memcached" {
				t.Errorf("hit: got %d %q, want the entry in memcached", status, body)
			}
		})
	}
}

func TestSite(t *testing.T) {
	s := start(t, Config{Faults: true})
	tests := []struct {
		path   string
		status int
		want   string // in the body
	}{
		{"/", 200, "A journal"},
		{"/articles/?page=2", 200, "Page 2 of 3"},
		{"/articles/caf%C3%A9-cr%c3%a8me", 200, "Café crème"},
		{"/articles/%E6%97%A5%E6%9C%AC%E8%AA%9E%E3%81%AE%E3%83%9A%E3%83%BC%E3%82%B8", 200, "日本語のページ"},
		{"/articles/100%25%20sure", 200, "percent"},
		{"/articles/nothing", 404, ""},
		{"/search?q=caf%C3%A9", 200, "Café crème"},
		{"/guestbook", 200, "The first entry."},
		{"/big", 200, "number 3999"},
		{"/slow?s=0.01", 200, "It is"},
		{"/fresh", 200, "It is"},
		{"/private", 200, "It is"},
		{"/cookie", 200, "It is"},
		{"/contact", 200, "csrfmiddlewaretoken"},
		{"/member", 200, "csrfmiddlewaretoken"},
		{"/admin/", 200, "csrfmiddlewaretoken"},
		{"/static/admin/css/base.css", 200, "DJANGO Admin styles"},
		{"/api/articles.json", 200, `"slug"`},
		{"/stream", 200, "Line 20 of 20"},
		{"/crash", 500, ""},
		{"/faults/die-silent", 502, ""},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			status, body := fetch(t, s.URL(tt.path))
			if status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("got %d %.200q, want %d with %q", status, body, tt.status, tt.want)
			}
		})
	}
}

func TestBrokenAnswers(t *testing.T) {
	s := start(t, Config{Faults: true})
	for _, path := range []string{"/faults/short", "/faults/die"} {
		resp, err := http.Get(s.URL(path))
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.ContentLength != 20000 || n != 10000 || err == nil {
			t.Errorf("%s: announced %d, got %d, %v; want 20000 announced and 10000 sent", path, resp.ContentLength, n, err)
		}
	}
}

// TestApp runs an application of the test's own, which the demo site's files do not
// get in the way of.
func TestApp(t *testing.T) {
	dir := t.TempDir()
	app := "def application(environ, start_response):\n" +
		"    start_response('200 OK', [('Content-Type', 'text/plain')])\n" +
		"    return [b'my own ' + environ['PATH_INFO'].encode()]\n\n" +
		"other = lambda environ, start_response: application(environ | {'PATH_INFO': '(other)'}, start_response)\n"
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(app), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ module, want string }{
		{"", "my own /page"},
		{"app:other", "my own (other)"},
	} {
		s := start(t, Config{App: dir, Module: tt.module})
		if status, body := fetch(t, s.URL("/page")); status != 200 || body != tt.want {
			t.Errorf("module %q: got %d %q, want %q", tt.module, status, body, tt.want)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("the application's directory was written to: %v, %v", files, err)
	}
}

var csrf = regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`)

func TestLogin(t *testing.T) {
	s := start(t, Config{})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	defer client.CloseIdleConnections()
	resp, err := client.Get(s.URL("/login?next=/member"))
	if err != nil {
		t.Fatal(err)
	}
	_, form := read(t, resp)
	token := csrf.FindStringSubmatch(form)
	if token == nil {
		t.Fatalf("no CSRF token in %q", form)
	}
	resp, err = client.PostForm(s.URL("/login"), url.Values{
		"csrfmiddlewaretoken": {token[1]}, "username": {"demo"}, "password": {"demo"}, "next": {"/member"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := read(t, resp); status != 200 || !strings.Contains(body, "Hello demo") {
		t.Errorf("got %d %q, want the member's page", status, body)
	}
}

// TestRecommendedHeaders: a hit has the headers that Django's middleware gives a
// miss, and a miss has them once.
func TestRecommendedHeaders(t *testing.T) {
	s := start(t, Config{})
	put(t, s.Memcached[0].Addr, "http://127.0.0.1/clock", "hit")
	want := map[string]string{
		"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
	}
	for _, path := range []string{"/clock", "/clock?miss"} {
		resp, err := http.Get(s.URL(path))
		if err != nil {
			t.Fatal(err)
		}
		read(t, resp)
		for name, value := range want {
			if got := resp.Header.Values(name); len(got) != 1 || got[0] != value {
				t.Errorf("%s: %s is %q, want %q once", path, name, got, value)
			}
		}
	}
}

// TestRecommendedBypass: requests that must reach Django do, whatever is in memcached.
func TestRecommendedBypass(t *testing.T) {
	s := start(t, Config{})
	for _, path := range []string{"/clock", "/guestbook"} {
		put(t, s.Memcached[0].Addr, "http://127.0.0.1"+path, "strangers")
		put(t, s.Memcached[0].Addr, "+http://127.0.0.1"+path, "others")
	}
	tests := []struct {
		name, method, path, cookie, body string
		status                           int
		hit                              string // the entry in memcached; "": no lookup
	}{
		{"anonymous", "GET", "/clock", "", "", 200, "strangers"},
		{"harmless cookie", "GET", "/clock", "_ga=1", "", 200, "strangers"},
		{"session", "GET", "/clock", "sessionid=1", "", 200, ""},
		{"session behind another", "GET", "/clock", "_ga=1; sessionid=1", "", 200, ""},
		{"token", "GET", "/clock", "csrftoken=1", "", 200, "strangers"},
		{"name that ends alike", "GET", "/clock", "mysessionid=1", "", 200, "others"},
		{"glob", "GET", "/clock", "_pyramid_x=1", "", 200, ""},
		{"POST", "POST", "/guestbook", "", "name=Ada&text=Hi", 302, ""},
		{"PUT", "PUT", "/clock", "", "x", 403, ""}, // Django's CSRF check
		{"long URL", "GET", "/clock?" + strings.Repeat("x", 300), "", "", 200, ""},
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, s.URL(tt.path), strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if tt.cookie != "" {
				req.Header.Set("Cookie", tt.cookie)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			status, body := read(t, resp)
			isHit := body == "strangers" || body == "others"
			if status != tt.status || tt.hit != "" && body != tt.hit || tt.hit == "" && isHit {
				t.Errorf("got %d %.80q, want %d, from memcached: %q", status, body, tt.status, tt.hit)
			}
		})
	}
}

func TestForget(t *testing.T) {
	s := start(t, Config{Conf: "recipe", Memcached: 2})
	for _, m := range s.Memcached {
		put(t, m.Addr, ":1:CUSTOMKEY:/clock?a%2520b", "old")
	}
	page := s.URL("/clock?a%20b")
	if _, body := fetch(t, page); body != "old" {
		t.Fatalf("before: got %q, want old", body)
	}
	forget(t, s, "/clock?a%20b")
	if _, body := fetch(t, page); body == "old" {
		t.Error("after the deletion the old page is still there")
	}
}

func TestProcess(t *testing.T) {
	s := start(t, Config{})
	ctx := t.Context()
	put(t, s.Memcached[0].Addr, "http://127.0.0.1/clock", "hit")

	if err := s.UWSGI.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, body := fetch(t, s.URL("/clock")); body != "hit" {
		t.Errorf("without uWSGI: got %q, want the hit", body)
	}
	if status, _ := fetch(t, s.URL("/clock?2")); status != 502 {
		t.Errorf("a miss without uWSGI: got %d, want 502", status)
	}
	if err := s.UWSGI.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if status, _ := fetch(t, s.URL("/clock?2")); status != 200 {
		t.Errorf("uWSGI started again: got %d, want 200", status)
	}

	if err := s.Memcached[0].Pause(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if status, body := fetch(t, s.URL("/clock")); status != 200 || body == "hit" || time.Since(began) > 5*time.Second {
		t.Errorf("memcached paused: got %d %q after %v, want Django's page", status, body, time.Since(began))
	}
	if err := s.Memcached[0].Resume(); err != nil {
		t.Fatal(err)
	}
	if _, body := fetch(t, s.URL("/clock")); body != "hit" {
		t.Errorf("memcached resumed: got %q, want the hit", body)
	}

	if err := s.Nginx.Kill(); err != nil {
		t.Error(err)
	}
	if err := s.Nginx.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, body := fetch(t, s.URL("/clock")); body != "hit" {
		t.Errorf("nginx started again: got %q, want the hit", body)
	}
}

// TestStopPaused ends a program that cannot see a signal until it goes on.
func TestStopPaused(t *testing.T) {
	s := start(t, Config{})
	if err := s.UWSGI.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := s.UWSGI.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStopAtOnce: a program that answers is one that can be stopped.
func TestStopAtOnce(t *testing.T) {
	s := start(t, Config{})
	for range 3 {
		if err := s.UWSGI.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.UWSGI.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFolderTooLong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 25))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "give a shorter directory") {
		t.Errorf("got %v, want the advice to give a shorter directory", err)
	}
}

func TestAccessReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	write := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	r := &AccessReader{path: path}
	next := func() {
		t.Helper()
		requests, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range requests {
			got = append(got, a.URI+" "+a.Reason)
		}
	}
	write(`{"msg":"listening"}` + "\n" + `{"msg":"request","uri":"/a","reason":"private"}` + "\n" + `{"msg":"request",`)
	next()
	next()
	write(`"uri":"/b","reason":"vary"}` + "\n")
	next()
	if want := []string{"/a private", "/b vary"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStartSaysWhatFailed(t *testing.T) {
	if err := Installed(); err != nil {
		t.Skip(err)
	}
	_, err := Start(context.Background(), Config{MemcachedArgs: []string{"--no-such-flag"}})
	if err == nil {
		t.Fatal("got no error for a memcached that cannot start")
	}
	for _, want := range []string{"memcached 1", "no-such-flag", "it ended at once"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
}

// forget posts to /forget past nginx: the recipe's own nginx sends a POST without
// its method and path.
func forget(t *testing.T, s *Stack, path string) {
	t.Helper()
	body := url.Values{"path": {path}}.Encode()
	var block []byte
	for _, v := range [][2]string{
		{"REQUEST_METHOD", "POST"}, {"REQUEST_URI", "/forget"}, {"PATH_INFO", "/forget"}, {"QUERY_STRING", ""},
		{"SERVER_NAME", "localhost"}, {"SERVER_PORT", "80"}, {"SERVER_PROTOCOL", "HTTP/1.1"},
		{"CONTENT_TYPE", "application/x-www-form-urlencoded"}, {"CONTENT_LENGTH", fmt.Sprint(len(body))},
	} {
		for _, text := range v {
			block = append(block, byte(len(text)), byte(len(text)>>8))
			block = append(block, text...)
		}
	}
	nc, err := dial(t.Context(), s.UWSGI.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	packet := append([]byte{0, byte(len(block)), byte(len(block) >> 8), 0}, block...)
	if _, err := nc.Write(append(packet, body...)); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(nc)
	if err != nil || !strings.Contains(string(reply), "deleted from 2") {
		t.Fatalf("/forget answered %q, %v; want it deleted from 2", reply, err)
	}
}
