package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"uwgate/demo/stack"
	"uwgate/docs/snippet"
)

// docs/getting-started.md leads to a hit: a new Django project whose template looks at the user,
// first observed, then refused for Vary: Cookie, then stored. The settings are those of the page.
func TestGettingStarted(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "uwgate.yaml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var headers, vary string
	for _, b := range snippet.Blocks(t, "..") {
		switch {
		case !strings.HasPrefix(b.Place, "getting-started.md:"):
		case strings.HasPrefix(b.Text, "nginx-adds:"):
			headers = b.Text
		case b.Text == "vary-cookie: anonymous\n":
			vary = b.Text
		}
	}
	if headers == "" || vary == "" {
		t.Fatalf("the page has no settings: %q, %q", headers, vary)
	}
	write(config, headers+"observe: true\n")
	w := start(t, stack.Config{App: newProject(t), Module: "mysite.wsgi:application", Args: []string{"--config", config}})

	detail := func() string {
		p := w.want(w.fetch("GET", "/news/", ""), 200)
		if !strings.Contains(p.body, "Log in") {
			t.Errorf("got %.300q", p.body)
		}
		return regexp.MustCompile(`detail=[a-z-]+`).FindString(p.header.Get("Cache-Status"))
	}
	if got := detail(); got != "detail=vary" {
		t.Errorf("step 5: got %q", got)
	}
	write(config, headers+"observe: true\n"+vary)
	w.reload("settings reloaded")
	if got := detail(); got != "detail=observe" {
		t.Errorf("step 6: got %q", got)
	}
	w.settle()
	if w.has("http://127.0.0.1/news/") {
		t.Error("a page is stored with observe: true")
	}
	write(config, headers+"observe: false\n"+vary)
	w.reload("settings reloaded")
	w.wantHit("/news/", "Log in")
	if member := w.want(w.fetch("GET", "/news/", "Cookie: sessionid=1"), 200); member.header.Get("Cache-Status") == "" {
		t.Error("a visitor with a session got the page of strangers")
	}
}

// newProject makes a project with a page whose template looks at the user.
func newProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command(python, "-m", "django", "startproject", "mysite", dir).CombinedOutput(); err != nil {
		t.Fatalf("startproject: %v\n%s", err, out)
	}
	settings := filepath.Join(dir, "mysite", "settings.py")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		settings: strings.NewReplacer("'DIRS': []", "'DIRS': [BASE_DIR / 'templates']", "ALLOWED_HOSTS = []", "ALLOWED_HOSTS = ['*']").Replace(string(text)),
		filepath.Join(dir, "mysite", "urls.py"): "from django.shortcuts import render\nfrom django.urls import path\n\n" +
			"urlpatterns = [path('news/', lambda request: render(request, 'news.html'))]\n",
		filepath.Join(dir, "templates", "news.html"): "<!DOCTYPE html><title>News</title>{% if user.is_authenticated %}Hello {{ user }}{% else %}<a href=/login>Log in</a>{% endif %} {% now 'u' %}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
