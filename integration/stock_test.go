package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// python is the interpreter of uWSGI's plugin.
const python = "/usr/bin/python3"

// A new project of `django-admin startproject` is cached without changes: its welcome
// page, and then the first view, with the default middleware.
func TestStockDjango(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command(python, "-m", "django", "startproject", "mysite", dir).CombinedOutput(); err != nil {
		t.Fatalf("startproject: %v\n%s", err, out)
	}
	for _, conf := range []string{"recommended", "recipe"} {
		t.Run(conf, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{Conf: conf, App: dir, Module: "mysite.wsgi:application"})
			w.wantHit("/", "The install worked successfully!")
			w.addView()
			w.wantHit("/hello", "Hello, world.")
			w.wantHit("/hello?name=caf%C3%A9", "Hello, caf")
		})
	}
}

// addView adds a view to the project and restarts it.
func (w *world) addView() {
	w.t.Helper()
	const urls = `
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("hello", lambda request: HttpResponse(f"Hello, {request.GET.get('name', 'world')}."))]
`
	if err := os.WriteFile(filepath.Join(w.Dir, "site", "mysite", "urls.py"), []byte(urls), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.UWSGI.Kill()
	if err := w.UWSGI.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// The first application of Flask's documentation is cached, too.
func TestStockFlask(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command(python, "-c", "import flask").CombinedOutput(); err != nil {
		if os.Getenv("UWGATE_TEST_STACK") == "" {
			t.Skip("Flask is not installed; demo/install sees to it")
		}
		t.Fatalf("Flask is not installed; demo/install sees to it\n%s", out)
	}
	dir := t.TempDir()
	const hello = `
from flask import Flask

app = Flask(__name__)

@app.route("/")
def hello_world():
    return "<p>Hello, World!</p>"
`
	if err := os.WriteFile(filepath.Join(dir, "hello.py"), []byte(hello), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, conf := range []string{"recommended", "recipe"} {
		t.Run(conf, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{Conf: conf, App: dir, Module: "hello:app"})
			w.wantHit("/", "<p>Hello, World!</p>")
		})
	}
}

// wantHit requests a page twice. The second response must come from memcached.
func (w *world) wantHit(path, contains string) {
	w.t.Helper()
	miss := w.want(w.fetch("GET", path, ""), 200)
	if !strings.Contains(miss.body, contains) {
		w.t.Errorf("%s: got %.300q, want a page with %q", path, miss.body, contains)
	}
	w.settle()
	passed := len(w.lines())
	hit := w.want(w.fetch("GET", path, ""), 200)
	w.settle()
	lines := w.lines()
	if len(lines) != passed || hit.body != miss.body {
		w.t.Errorf("%s: the second request is no hit; logged %+v, head %v", path, lines[len(lines)-1], miss.header)
	}
}
