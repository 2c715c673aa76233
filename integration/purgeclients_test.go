package integration

import (
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// purgeClients are requests of clients for the page /any/page?a=1 of www.example.com, as
// they were recorded. CRLF ends each line; PROXY stands for nginx's address.
var purgeClients = []struct{ name, request string }{
	// curl 7.88.1: curl -X PURGE -H 'Host: www.example.com' 'http://PROXY/any/page?a=1'
	{"curl", `PURGE /any/page?a=1 HTTP/1.1
Host: www.example.com
User-Agent: curl/7.88.1
Accept: */*
`},
	// squidclient 5.7: squidclient -h … -p … -m PURGE 'http://www.example.com/any/page?a=1'
	{"squidclient", `PURGE http://www.example.com/any/page?a=1 HTTP/1.0
Host: www.example.com
User-Agent: squidclient/5.7
Accept: */*
Connection: close
`},
	// Wagtail's HTTPBackend: a urllib request to LOCATION, with the host and the port of
	// the page's URL.
	{"Wagtail", `PURGE /any/page?a=1 HTTP/1.1
Accept-Encoding: identity
Host: www.example.com:8000
User-Agent: Wagtail-frontendcache/6.3
Connection: close
`},
	// plone.cachepurging with virtual hosting: a session of requests.
	{"plone.cachepurging", `PURGE /VirtualHostBase/http/www.example.com:80/Plone/VirtualHostRoot/any/page?a=1 HTTP/1.1
Host: PROXY
User-Agent: python-requests/2.34.2
Accept-Encoding: gzip, deflate
Accept: */*
Connection: keep-alive
Content-Length: 0
`},
	{"plone.cachepurging below a folder", `PURGE /VirtualHostBase/https/www.example.com:443/Plone/VirtualHostRoot/_vh_any/page?a=1 HTTP/1.1
Host: PROXY
User-Agent: python-requests/2.34.2
Accept-Encoding: gzip, deflate
Accept: */*
Connection: keep-alive
Content-Length: 0
`},
	// python3-requests: requests.request("PURGE", …, headers={"Host": "www.example.com"})
	{"requests", `PURGE /any/page?a=1 HTTP/1.1
User-Agent: python-requests/2.34.2
Accept-Encoding: gzip, deflate
Accept: */*
Connection: keep-alive
Host: www.example.com
Content-Length: 0
`},
	// django-cachepurge, whose CACHE_URLS is http://www.example.com: httplib.
	{"django-cachepurge", `PURGE /any/page?a=1 HTTP/1.1
Host: www.example.com
Accept-Encoding: identity
`},
	// The same in its mode for HTTP/1.0, without a Host.
	{"django-cachepurge with HTTP/1.0", `PURGE http://www.example.com/any/page?a=1 HTTP/1.0
`},
}

// What clients of Varnish and Squid send purges the page here, too.
func TestPurgeClients(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			a := startApp(t, stack.Config{Format: format, Args: purges})
			const target, key = "/any/page?a=1", "http://www.example.com/any/page?a=1"
			for _, c := range purgeClients {
				t.Run(c.name, func(t *testing.T) {
					a := a.in(t)
					a.fetch("GET", target, "Host: www.example.com")
					a.wantKey(key)
					request := strings.ReplaceAll(strings.ReplaceAll(c.request, "PROXY", a.Nginx.Addr), "\n", "\r\n") + "\r\n"
					if p := a.exchange("PURGE", request); p.status != 200 || p.err != nil || a.has(key) {
						t.Errorf("got %d %q, %v; in memcached: %v", p.status, p.body, p.err, a.has(key))
					}
				})
			}
			t.Run("a session", func(t *testing.T) {
				a := a.in(t)
				a.fetch("GET", target, "Host: www.example.com")
				a.wantKey(key)
				url := a.URL("/any/page?a=")
				out, err := exec.Command("curl", "-sS", "-X", "PURGE", "-H", "Host: www.example.com", url+"0", url+"1", url+"2").CombinedOutput()
				if err != nil || strings.Count(string(out), `"status":"done"`) != 3 || a.has(key) {
					t.Errorf("got %v, %s; in memcached: %v", err, out, a.has(key))
				}
			})
		})
	}
}

// Django's signal purges the page of an article and the list that shows it.
func TestPurgeByDjango(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{Purges: true})
	paths := []string{"/articles/hello", "/articles/", "/articles/?page=1"}
	for _, path := range paths {
		w.wantHit(path, "Hello, world")
	}
	w.wantHit("/articles/note-1", "Note 1")
	editor := w.browser()
	w.want(w.submit(editor, "/admin/login/?next=/admin/", url.Values{"username": {"demo"}, "password": {"demo"}}), 200)
	w.want(w.submit(editor, "/admin/journal/article/1/change/", url.Values{"slug": {"hello"}, "title": {"Hello again"}, "text": {"Changed."}}), 200)
	for _, path := range paths {
		if p := w.want(w.get(path), 200); !strings.Contains(p.body, "Hello again") {
			t.Errorf("%s shows the old title", path)
		}
	}
	if !w.has(w.pageKey("/articles/note-1")) {
		t.Error("another article is gone")
	}
}
