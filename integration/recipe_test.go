package integration

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// Django deletes an entry with cache.delete, as sites with the recipe do.
func TestDjangoDeletesAnEntry(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{Conf: "recipe"})
	first := w.want(w.get("/clock"), 200)
	w.wantKey(":1:CUSTOMKEY:/clock")
	// nginx would pass this request on without its method, so it goes to Django
	// directly.
	w.forget("/clock")
	second := w.want(w.get("/clock"), 200)
	if second.body == first.body {
		t.Error("the page that Django deleted is still served")
	}
}

// forget makes Django delete the entry of a page.
func (w *world) forget(path string) {
	w.t.Helper()
	form := url.Values{"path": {path}}.Encode()
	p := w.ask(w.UWSGI.Addr, append(vars("POST", "/forget"),
		uwsgi.Var{Name: "CONTENT_LENGTH", Value: strconv.Itoa(len(form))},
		uwsgi.Var{Name: "CONTENT_TYPE", Value: "application/x-www-form-urlencoded"}), form)
	if w.want(p, 200); !strings.Contains(p.body, "deleted from 1") {
		w.t.Fatalf("Django deleted nothing: %q", p.body)
	}
}

// The bypass argument refreshes a page under the key without the argument.
func TestBypassArgument(t *testing.T) {
	t.Parallel()
	const secret = "a-long-secret"
	eachSetup(t, func(w *world) {
		old := w.want(w.get("/clock?n=1"), 200)
		key := w.pageKey("/clock?n=1")
		w.wantKey(key)
		if again := w.want(w.get("/clock?n=1"), 200); again.body != old.body {
			w.t.Fatal("not a hit before the bypass")
		}
		wrong := w.want(w.get("/clock?n=1&nocache=wrong"), 200)
		w.settle()
		if hit := w.want(w.get("/clock?n=1"), 200); hit.body != old.body {
			w.t.Error("a wrong secret changed the page")
		}
		fresh := w.want(w.get("/clock?n=1&nocache="+secret), 200)
		if fresh.body == old.body || fresh.body == wrong.body {
			w.t.Error("the bypass did not reach Django")
		}
		w.settle()
		if hit := w.want(w.get("/clock?n=1"), 200); hit.body != fresh.body {
			w.t.Error("the entry is not the fresh page")
		}
		for _, k := range w.keys() {
			if strings.Contains(k, secret) {
				w.t.Errorf("the secret stands in memcached's key %q", k)
			}
		}
		if log, _ := os.ReadFile(w.AccessLog); strings.Contains(string(log), secret) {
			w.t.Error("the secret stands in the access log")
		}
	}, "--bypass-arg", "nocache="+secret)
}

// In the recipe, a POST reaches uwgate without its method. It is passed on and not
// stored, and the log names the fix once.
func TestRecipesPostIsNamedOnce(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{Conf: "recipe"})
	for range 3 {
		w.do("POST", "/guestbook", strings.NewReader("name=A&text=b"), "Content-Type: application/x-www-form-urlencoded")
	}
	const hint = "without REQUEST_METHOD"
	w.eventually("hint in the log", func() bool { return strings.Contains(w.Uwgate.Log(), hint) })
	if n := strings.Count(w.Uwgate.Log(), hint); n != 1 {
		t.Errorf("named %d times, want once", n)
	}
	if !strings.Contains(w.Uwgate.Log(), "include uwsgi_params;") {
		t.Error("the fix is not named")
	}
}

func TestExclude(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{Conf: "recipe", Args: []string{"--exclude", "/articles"}})
	w.want(w.get("/articles/"), 200)
	w.want(w.get("//articles/?page=1"), 200)
	w.want(w.get("/clock"), 200)
	w.wantKey(":1:CUSTOMKEY:/clock")
	if n := w.items(); n != 1 {
		t.Errorf("memcached holds %d entries, want /clock alone: %q", n, w.keys())
	}
	if l := w.line("/articles/"); l.Reason != "excluded" {
		t.Errorf("logged %+v, want excluded", l)
	}
}

// A POST changes the guestbook and deletes its old page, so the visitor sees the new
// entry.
func TestPostReachesDjango(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{})
	w.want(w.get("/guestbook"), 200)
	w.wantKey(w.pageKey("/guestbook"))
	p := w.want(w.submit(w.browser(), "/guestbook", url.Values{"name": {"Ada"}, "text": {"a first entry"}}), 200)
	if !strings.Contains(p.body, "a first entry") {
		t.Errorf("the page after the POST is the old one: %.300q", p.body)
	}
	w.eventually("access line of the POST", func() bool {
		return slices.ContainsFunc(w.lines(), func(l stack.Access) bool {
			return l.Method == "POST" && l.Status == 302 && l.Reason == "method"
		})
	})
}

// After a rotation the log continues in a new file.
func TestLogsAreReopened(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{})
	w.want(w.get("/clock?n=1"), 200)
	w.line("/clock?n=1")
	old := filepath.Join(w.Dir, "access.log.1")
	if err := os.Rename(w.AccessLog, old); err != nil {
		t.Fatal(err)
	}
	if err := w.Uwgate.Reopen(); err != nil {
		t.Fatal(err)
	}
	w.eventually("new file", func() bool { _, err := os.Stat(w.AccessLog); return err == nil })
	w.want(w.get("/clock?n=2"), 200)
	w.line("/clock?n=2")
	if b, err := os.ReadFile(old); err != nil || !strings.Contains(string(b), "n=1") || strings.Contains(string(b), "n=2") {
		t.Errorf("old file: %s, %v", b, err)
	}
}
