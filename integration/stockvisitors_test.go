package integration

import (
	"cmp"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// djangoURLs are the pages of a project with all stock applications of Django.
const djangoURLs = `
import uuid

from django.contrib import admin, messages
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.urls import include, path
from django.utils import translation


def page(request, *words):
    return HttpResponse("<p>%s</p><p>Copy %s</p>" % (" ".join(words), uuid.uuid4()))


def hello(request):
    """Looks at the cookies themselves, and so says nothing of it."""
    greeting = "Hallo" if translation.get_language_from_request(request) == "de" else "Hello"
    return page(request, greeting, *sorted(set(request.COOKIES) & {"sessionid", "messages", "django_language", "csrftoken"}))


def who(request):
    """Looks at the session, and Django says so."""
    return page(request, "Hello", str(request.user), *[str(m) for m in messages.get_messages(request)])


def note(request):
    messages.info(request, "saved")
    return redirect("/hello")


def form(request):
    return HttpResponse('<input name="csrfmiddlewaretoken" value="%s">' % get_token(request))


urlpatterns = [
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("hello", hello), path("who", who), path("note", note), path("form", form),
]
`

// prepareDjango makes a project with a user and returns its directory.
func prepareDjango(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const prepare = `
import os, sys
import django
from django.core.management import call_command
open("mysite/urls.py", "w").write(sys.argv[1])
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
User.objects.create_superuser("demo", "demo@example.com", "demo")
`
	for _, args := range [][]string{{"-m", "django", "startproject", "mysite", "."}, {"-c", prepare, djangoURLs}} {
		cmd := exec.Command(python, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return dir
}

// A bearer is a visitor with cookies of the framework.
type bearer struct {
	name   string
	client *http.Client
	shows  string // of /hello as the application makes it for him
	reason string // why that is not stored
	hit    bool   // once the page of strangers is stored he is served that
}

// Django sets cookies of four kinds. A visitor with one of them gets an own page, which
// is not stored. Visitors with only the CSRF cookie are served the pages of strangers.
func TestDjangosVisitors(t *testing.T) {
	t.Parallel()
	dir := prepareDjango(t)
	for _, format := range []string{"body", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{App: dir, Module: "mysite.wsgi:application", Format: format})
			a := &app{w, w.AccessReader()}
			shown, noted, german, member := a.browser(), a.browser(), a.browser(), a.browser()
			if p := a.visitAs(shown, "/admin/login/"); p.status != 200 || p.written != 0 || p.header.Get("Set-Cookie") == "" {
				t.Errorf("the login page: got %d, %v, %s, stored %d", p.status, p.header, p.reason(), p.written)
			}
			a.want(a.page(noted, "/note"), 200)
			a.want(a.submitAs(german, "/form", "/i18n/setlang/", url.Values{"language": {"de"}, "next": {"/hello"}}), 200)
			german = a.keeps(german, "django_language") // Django 3 keeps it in the session, too
			a.want(a.submitAs(member, "/admin/login/", "/admin/login/?next=/who", url.Values{"username": {"demo"}, "password": {"demo"}}), 200)
			a.settle()
			if n := a.items(); n != 0 {
				t.Fatalf("memcached holds %d entries: %q", n, a.keys())
			}
			a.serves("/hello?1", "<p>Hello</p>", []bearer{
				{"holder of csrftoken", shown, "<p>Hello csrftoken</p>", "token-cookie", true},
				{"holder of messages", noted, "<p>Hello messages</p>", "identity-cookie", false},
				{"holder of django_language", german, "<p>Hallo django_language</p>", "identity-cookie", false},
				{"holder of sessionid", member, "<p>Hello csrftoken sessionid</p>", "identity-cookie", false},
			})
			for range 2 {
				if v := a.visitAs(member, "/who"); !strings.Contains(v.body, "Hello demo") || v.written != 0 || v.reason() != "identity-cookie" {
					t.Errorf("the logged-in user got %q, %s, stored %d", v.body, v.reason(), v.written)
				}
				if v := a.visit("GET", "/who", ""); !strings.Contains(v.body, "Hello AnonymousUser") || v.written != 0 || v.reason() != "vary" {
					t.Errorf("a stranger got %q, %s, stored %d", v.body, v.reason(), v.written)
				}
			}
			if v := a.visitAs(noted, "/who"); !strings.Contains(v.body, "Hello AnonymousUser saved") || v.written != 0 {
				t.Errorf("the message is lost: %q, %s, stored %d", v.body, v.reason(), v.written)
			}
		})
	}
}

// With --vary-cookie anonymous, pages that depend on the session are stored for
// visitors without one.
func TestDjangosStrangers(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{App: prepareDjango(t), Module: "mysite.wsgi:application", Args: []string{"--vary-cookie", "anonymous"}})
	a := &app{w, w.AccessReader()}
	member := a.browser()
	a.want(a.submitAs(member, "/admin/login/", "/admin/login/?next=/who", url.Values{"username": {"demo"}, "password": {"demo"}}), 200)
	a.serves("/who?1", "<p>Hello AnonymousUser</p>", []bearer{{"member", member, "<p>Hello demo</p>", "identity-cookie", false}})
}

// Flask uses one cookie for sessions and messages.
func TestFlasksVisitors(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command(python, "-c", "import flask").CombinedOutput(); err != nil {
		if os.Getenv("UWGATE_TEST_STACK") == "" {
			t.Skip("Flask is not installed; demo/install sees to it")
		}
		t.Fatalf("Flask is not installed; demo/install sees to it\n%s", out)
	}
	dir := t.TempDir()
	const shop = `
import uuid

from flask import Flask, flash, get_flashed_messages, redirect, request, session

app = Flask(__name__)
app.secret_key = "of a test"


def page(*words):
    return "<p>%s</p><p>Copy %s</p>" % (" ".join(words), uuid.uuid4())


@app.route("/hello")
def hello():
    return page("Hello", *request.cookies)


@app.route("/who")
def who():
    return page("Hello", session.get("name", "stranger"), *get_flashed_messages())


@app.route("/login", methods=["POST"])
def login():
    session["name"] = request.form["name"]
    return redirect("/who")


@app.route("/note")
def note():
    flash("saved")
    return redirect("/hello")
`
	if err := os.WriteFile(filepath.Join(dir, "shop.py"), []byte(shop), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, anonymous := range []bool{false, true} {
		name, args := "", []string(nil)
		if anonymous {
			name, args = "--vary-cookie anonymous", []string{"--vary-cookie", "anonymous"}
		}
		t.Run(cmp.Or(name, "stock"), func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{App: dir, Module: "shop:app", Args: args})
			a := &app{w, w.AccessReader()}
			member, noted := a.browser(), a.browser()
			a.want(a.submitAs(member, "", "/login", url.Values{"name": {"ana"}}), 200)
			a.want(a.page(noted, "/note"), 200)
			a.settle()
			if n := a.items(); n != 0 {
				t.Fatalf("memcached holds %d entries: %q", n, a.keys())
			}
			bearers := []bearer{{"member", member, "<p>Hello session</p>", "identity-cookie", false}, {"one with a message", noted, "<p>Hello session</p>", "identity-cookie", false}}
			a.serves("/hello?1", "<p>Hello</p>", bearers)
			if anonymous {
				bearers[0].shows = "<p>Hello ana</p>"
				a.serves("/who?1", "<p>Hello stranger</p>", bearers[:1])
			} else if v := a.visit("GET", "/who", ""); !strings.Contains(v.body, "stranger") || v.written != 0 || v.reason() != "vary" {
				t.Errorf("a stranger got %q, %s, stored %d", v.body, v.reason(), v.written)
			}
			if v := a.visitAs(noted, "/who"); !strings.Contains(v.body, "saved") || v.written != 0 {
				t.Errorf("the message is lost: %q, %s, stored %d", v.body, v.reason(), v.written)
			}
		})
	}
}

// serves sends requests of the bearers before and after those of strangers.
func (a *app) serves(target, shows string, bearers []bearer) {
	a.t.Helper()
	for _, b := range bearers {
		if v := a.visitAs(b.client, target); v.status != 200 || !strings.Contains(v.body, b.shows) || v.reason() != b.reason || v.written != 0 {
			a.t.Errorf("%s, %s comes first: got %d %q, %s, stored %d; want %q, %s, nothing stored", target, b.name, v.status, v.body, v.reason(), v.written, b.shows, b.reason)
		}
	}
	first := a.visit("GET", target, "")
	if first.status != 200 || !strings.Contains(first.body, shows) || first.written != 1 {
		a.t.Errorf("%s, a stranger: got %d %q, %s, stored %d; want %q, stored", target, first.status, first.body, first.reason(), first.written, shows)
	}
	if v := a.visit("GET", target, "Cookie: _ga=GA1.2.3"); v.body != first.body || v.reason() != "hit" {
		a.t.Errorf("%s, the next stranger: got %d %q, %s; want a hit", target, v.status, v.body, v.reason())
	}
	for _, b := range bearers {
		v := a.visitAs(b.client, target)
		if b.hit && (v.body != first.body || v.reason() != "hit") {
			a.t.Errorf("%s, %s after strangers: got %q, %s; want a hit", target, b.name, v.body, v.reason())
		}
		if !b.hit && (!strings.Contains(v.body, b.shows) || v.body == first.body || v.reason() != b.reason || v.written != 0) {
			a.t.Errorf("%s, %s after strangers: got %q, %s, stored %d; want %q, %s", target, b.name, v.body, v.reason(), v.written, b.shows, b.reason)
		}
	}
}

// visitAs sends a GET with the cookies of that browser.
func (a *app) visitAs(c *http.Client, target string) visit {
	a.t.Helper()
	a.settle()
	a.log.Next() // what others have done
	before := a.writes()
	p := a.page(c, target)
	a.settle()
	logged, err := a.log.Next()
	if err != nil {
		a.t.Fatal(err)
	}
	return visit{p, logged, a.writes() - before}
}

// keeps returns a browser that has only that cookie of c.
func (a *app) keeps(c *http.Client, name string) *http.Client {
	a.t.Helper()
	site, err := url.Parse(a.URL("/"))
	if err != nil {
		a.t.Fatal(err)
	}
	kept := a.browser()
	for _, cookie := range c.Jar.Cookies(site) {
		if cookie.Name == name {
			kept.Jar.SetCookies(site, []*http.Cookie{cookie})
		}
	}
	return kept
}

// page is what a browser shows.
func (a *app) page(c *http.Client, target string) page { return a.world.visit(c, target) }

// submitAs posts a form. If shown is not empty, it adds the CSRF token of that page.
func (a *app) submitAs(c *http.Client, shown, target string, form url.Values) page {
	a.t.Helper()
	if shown != "" {
		_, rest, _ := strings.Cut(a.page(c, shown).body, `name="csrfmiddlewaretoken" value="`)
		token, _, _ := strings.Cut(rest, `"`)
		form.Set("csrfmiddlewaretoken", token)
	}
	resp, err := c.PostForm(a.URL(target), form)
	return a.read(resp, err)
}
