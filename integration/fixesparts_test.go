package integration

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"uwgate/nginxconf"
	"uwgate/nginxconf/nginxtest"
	"uwgate/uwsgi"
)

// What the sites of check's archives do with subrequests, after all fixes.

const (
	withPart = "-with-part"    // the end of a path whose page includes a part
	aPart    = "/a-part"       // its path
	refused  = "X-Refused: on" // a visitor whom the application refuses
)

// part returns what the worker makes of a request that is about parts.
func part(vars uwsgi.Vars, page string) (body, status string) {
	path, _, _ := strings.Cut(cmp.Or(vars.Get("PATH_INFO"), vars.Get("REQUEST_URI")), "?")
	switch {
	case strings.HasSuffix(path, withPart):
		return page + ` <!--#include virtual="` + aPart + `" -->`, "200 OK"
	case path == aPart:
		return "[a part]", "200 OK"
	case strings.HasPrefix(path, "/auth") && vars.Get("HTTP_X_REFUSED") != "":
		return page, "403 Forbidden"
	}
	return page, "200 OK"
}

// servesParts requests pages that nginx makes of several, and pages that it asks about.
func (s *fixedSite) servesParts(to target) {
	s.t.Helper()
	has := func(kind string) bool {
		return slices.ContainsFunc(s.conf.Subrequests, func(sub nginxconf.Subrequest) bool { return sub.Kind == kind })
	}
	if has("ssi") {
		path := to.path + withPart
		for range 4 { // misses and hits
			p := s.visit(to, path)
			if p.status != 200 || strings.Count(p.body, " of "+path+" at ") != 1 || strings.Count(p.body, "[a part]") != 1 || strings.Contains(p.body, "<!--#") {
				s.t.Errorf("%s: got %d %q, %v", path, p.status, p.body, p.err)
			}
		}
	}
	if has("auth_request") {
		for range 3 {
			for _, path := range []string{"/private/file", "/auth", to.path} {
				s.visit(to, path)
			}
			if p := s.visit(to, "/private/file", refused); p.status != 403 {
				s.t.Errorf("a visitor who is refused got %d %q, %v", p.status, p.body, p.err)
			}
		}
	}
}

// visit sends a GET to the address of a target.
func (s *fixedSite) visit(to target, path string, headers ...string) page {
	s.t.Helper()
	req, err := http.NewRequest("GET", "http://"+to.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = to.host
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	w := &world{t: s.t}
	return w.send(nginxtest.Client(s.socket(slices.Index(s.addrs, to.addr))).Transport, req)
}

// inRegex are beginnings of paths that the regexes of locations match.
var inRegex = map[string]string{
	"~ ^/(news/.*|blog/.*)$":          "/news/",
	`~ ^/p/(\d+)/(?<rest>.*)$`:        "/p/7/",
	`~ ^/p/(\d+)(/.*)?$`:              "/p/7/",
	`~ ^/p/(?<page>\w+)/([^/]+)$`:     "/p/7/",
	`~ ^/p/(.*)/(.*)$`:                "/p/7/",
	`~ ^/p/(\w+)`:                     "/p/",
	"~ ^/p/([^/]+)$":                  "/p/",
	`~ ^/p/(?<page>\w+)(?:/.*)?$`:     "/p/x/",
	"~ ^/([a-z]+)/.*/([^/]+)$":        "/a/b/",
	"~ ^/(?<lang>en|de)/(?<rest>.*)$": "/en/",
}
