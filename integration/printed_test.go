package integration

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// A printed is the output of `uwgate nginx` in a running nginx, and a second server of
// that nginx, which connects to the application without uwgate.
type printed struct {
	*world
	direct string // address of the second server
	files  string // directory of the site's own files
}

// host is the Host line of all requests, since the two servers have different ports.
const host = "Host: shop.example"

func startPrinted(t *testing.T, cfg stack.Config) *printed {
	t.Helper()
	direct, scheme := freeAddr(t), "$scheme"
	if slices.Contains(cfg.Args, "--trust-forwarded-proto") {
		scheme = "$http_x_forwarded_proto if_not_empty"
	}
	cfg.App, cfg.Workers = filepath.Join("testdata", "printed"), 2
	cfg.Site += `
server {
    listen ` + direct + `;
    location / {
        include uwsgi_params;
        uwsgi_param HTTP_HOST $host;
        uwsgi_param HTTP_COOKIE $http_cookie if_not_empty; # nginx before 1.23 sends several
        uwsgi_param HTTP_X_FORWARDED_PROTO ` + scheme + `; # as uwgate does
        uwsgi_pass unix:uwsgi.sock;
    }
}
`
	return &printed{world: start(t, cfg), direct: direct}
}

// A caller is one who requests a page.
type caller struct {
	name, method, lines string
	isServed            bool // gets the page of strangers as soon as it is cached
	fillsFresh          bool // may be the one who fills the cache with a page that sets its own lifetime
}

var callers = []caller{
	{name: "member", lines: "Cookie: sessionid=ana"},
	{name: "member, other case", lines: "Cookie: _ga=1;SESSIONID=ana"},
	{name: "member, second line", lines: "Cookie: _ga=1\nCookie: sessionid=ana"},
	{name: "member, odd spacing", lines: "Cookie: _ga=1 ;\t sessionid = ana"},
	{name: "member with 200 cookies", lines: "Cookie: " + strings.Repeat("a=1; ", 200) + "sessionid=ana"},
	{name: "unknown cookie", fillsFresh: true, lines: "Cookie: theme=dark"},
	{name: "empty cookie", fillsFresh: true, lines: "Cookie: theme"},
	{name: "credentials", lines: "Authorization: Basic YW5hOng="},
	{name: "fragment", lines: "HX-Request: true"},
	{name: "holder of a token", lines: "Cookie: csrftoken=x", isServed: true},
	{name: "unknown header", fillsFresh: true, lines: "X-Tenant: shop", isServed: true},
	{name: "method override", fillsFresh: true, lines: "X-HTTP-Method-Override: DELETE", isServed: true},
	{name: "another URL", fillsFresh: true, lines: "X-Original-URL: /admin", isServed: true},
	{name: "another URL, IIS", fillsFresh: true, lines: "X-Rewrite-URL: /admin", isServed: true},
	{name: "GET with a body", lines: "Content-Length: 5\n\nhello"},
	{name: "POST", method: "POST", lines: "Content-Length: 5\n\nhello"},
	{name: "POST of a member", method: "POST", lines: "Cookie: sessionid=ana\nContent-Length: 5\n\nhello"},
	{name: "HEAD of a member", method: "HEAD", lines: "Cookie: sessionid=ana"},
	{name: "DELETE", method: "DELETE"},
}

// A combination is a set of flags that change the printed configuration.
type combination struct {
	format, hash, params                string
	ignored, forwarded, secure, weirdly bool
}

var axes = [][]string{{"body", "gzip", "http"}, {"one", "none", "consistent", "modulo"}, {"nginx", "debian"}, {"", "ignored"}, {"", "forwarded"}, {"", "secure"}, {"", "weird"}}

func combine(row []string) combination {
	return combination{row[0], row[1], row[2], row[3] != "", row[4] != "", row[5] != "", row[6] != ""}
}

// pairwise returns rows in which each value of an axis meets each value of each other axis.
func pairwise(axes [][]string) (rows [][]string) {
	type pair [4]int
	open := map[pair]bool{}
	for i := range axes {
		for j := range i {
			for a := range axes[i] {
				for b := range axes[j] {
					open[pair{i, a, j, b}] = true
				}
			}
		}
	}
	for len(open) > 0 {
		var best []int
		most := 0
		for _, row := range product(axes) {
			met := 0
			for i := range row {
				for j := range i {
					if open[pair{i, row[i], j, row[j]}] {
						met++
					}
				}
			}
			if met > most {
				best, most = row, met
			}
		}
		words := make([]string, len(best))
		for i := range best {
			words[i] = axes[i][best[i]]
			for j := range i {
				delete(open, pair{i, best[i], j, best[j]})
			}
		}
		rows = append(rows, words)
	}
	return rows
}

// product returns all combinations, as indices.
func product(axes [][]string) [][]int {
	all := [][]int{nil}
	for _, axis := range axes {
		var longer [][]int
		for _, row := range all {
			for i := range axis {
				longer = append(longer, append(slices.Clone(row), i))
			}
		}
		all = longer
	}
	return all
}

// config returns the stack of a combination.
func (c combination) config(t *testing.T) stack.Config {
	t.Helper()
	cfg := stack.Config{Format: c.format, Args: []string{"--identity-cookie", "sessionid"}}
	if c.hash != "one" {
		cfg.Hash, cfg.Memcached = c.hash, 2
	}
	if c.params == "debian" && !c.ignored { // --ignore-arg prints the params
		path, err := filepath.Abs("testdata/printed/uwsgi_params.debian")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Edits = append(cfg.Edits, [2]string{"include uwsgi_params;", "include " + path + ";"})
	}
	if c.ignored {
		cfg.NginxArgs = append(cfg.NginxArgs, "--ignore-arg", "tracking")
	}
	if c.forwarded {
		cfg.Args = append(cfg.Args, "--trust-forwarded-proto")
	}
	if c.weirdly {
		cfg.Args = append(cfg.Args, "--nginx-adds", `X-Weird: a;b "c" {d}`)
	}
	if c.secure {
		cert, key := certificate(t, shortDir(t), "server")
		cfg.Listen = "suwsgi:" + freeAddr(t)
		cfg.Args = append(cfg.Args, "--tls-cert", cert, "--tls-key", key)
		cfg.Edits = append(cfg.Edits, [2]string{"uwgate-ca.crt", cert})
	}
	return cfg
}

// The printed configuration serves the right pages with all flags that change it.
func TestPrinted(t *testing.T) {
	t.Parallel()
	for _, row := range pairwise(axes) {
		c := combine(row)
		t.Run(strings.Join(row, ","), func(t *testing.T) {
			t.Parallel()
			startPrinted(t, c.config(t)).serves(c)
		})
	}
}

func (p *printed) serves(c combination) {
	p.t.Helper()
	targets := []string{"/page?a=1", "/fresh"}
	for _, target := range targets {
		p.servesAll(c, target, "")
	}
	if c.forwarded {
		p.servesAll(c, "/page?a=1", "X-Forwarded-Proto: https")
	}
	for _, target := range []string{"/caf%C3%A9/a%20b?x=%26&&y", "//a/./b/../c", "/a;b=c,d", "/?", "/a%2Fb", "/a%23b", "/a%3Fb?c?d", "/a#b?c", "/a\xe9", "/100%25"} {
		p.isCached(c, target, "")
	}
	for _, target := range []string{"/" + strings.Repeat("x", 300), "/?" + strings.Repeat("y", 4000), "/private", "/status/404", "/status/500", "/status/301", "/slow?0"} {
		first, second := p.same(c, "GET", target, ""), p.same(c, "GET", target, "")
		if first.body == second.body && target != "/slow?0" {
			p.t.Errorf("%.40s is a hit", target)
		}
	}
	for _, m := range p.Memcached {
		m.Kill()
	}
	for _, target := range targets {
		p.isMiss(c, target, "")
		for _, who := range callers {
			if !who.fillsFresh || target != "/fresh" {
				p.same(c, who.method, target, who.lines)
			}
		}
	}
	for _, m := range p.Memcached {
		if err := m.Start(p.t.Context()); err != nil { // uwgate has pages to delete
			p.t.Error(err)
		}
	}
}

// servesAll sends the requests of all callers before and after a stranger.
func (p *printed) servesAll(c combination, target, lines string) {
	p.t.Helper()
	for _, who := range callers {
		if !who.fillsFresh || target != "/fresh" {
			p.same(c, who.method, target, lines+"\n"+who.lines)
		}
	}
	stored := p.isCached(c, target, lines)
	for _, who := range callers {
		if who.method == "POST" || who.method == "DELETE" || who.fillsFresh && !who.isServed && target == "/fresh" {
			continue
		}
		if who.isServed {
			p.isHit(c, stored, target, lines+"\n"+who.lines)
		} else if own := p.same(c, who.method, target, lines+"\n"+who.lines); own.body == stored.body {
			p.t.Errorf("%s, %s: got the page of strangers", target, who.name)
		}
	}
	head := p.fetch("HEAD", target, host+"\n"+lines)
	if head.status != 200 || head.body != "" || !maps.EqualFunc(settled(c, head), settled(c, stored), slices.Equal) {
		p.t.Errorf("HEAD %s: got %d %q %v, want %v", target, head.status, head.body, head.header, stored.header)
	}
	p.isHit(c, stored, target, lines+"\nRange: bytes=0-")
	p.isHit(c, stored, target, lines+"\nIf-None-Match: \"x\"")
	p.isHit(c, stored, target, lines+"\nAuthorization:")
	for _, who := range callers {
		if who.method != "POST" && who.method != "DELETE" {
			continue
		}
		p.same(c, who.method, target, lines+"\n"+who.lines)
		p.settle()
		fresh := p.same(c, "GET", target, lines)
		if fresh.body == stored.body {
			p.t.Errorf("%s, %s: the page is still cached", target, who.name)
		}
		p.settle()
		stored = fresh
	}
}

// isCached requests a page that is not cached, and then again.
func (p *printed) isCached(c combination, target, lines string) page {
	p.t.Helper()
	first := p.isMiss(c, target, lines)
	p.settle()
	p.isHit(c, first, target, lines)
	return first
}

func (p *printed) isMiss(c combination, target, lines string) page {
	p.t.Helper()
	return p.same(c, "GET", target, lines)
}

// isHit requests a page that is cached.
func (p *printed) isHit(c combination, stored page, target, lines string) {
	p.t.Helper()
	hit := p.fetch("GET", target, host+"\n"+strings.TrimLeft(lines, "\n"))
	if hit.err != nil || hit.status != stored.status && hit.status != 206 || hit.body != stored.body {
		p.t.Errorf("%s with %.60q is no hit: got %d %q, %v; want %q", target, lines, hit.status, hit.body, hit.err, stored.body)
		return
	}
	if got, want := settled(c, hit), settled(c, stored); !maps.EqualFunc(got, want, slices.Equal) {
		p.t.Errorf("%s with %.60q: the hit has\n%v\nand the page had\n%v", target, lines, got, want)
	}
}

// same sends a request to both servers of nginx. The pages differ only in the number of
// the copy.
func (p *printed) same(c combination, method, target, lines string) page {
	p.t.Helper()
	if method == "" {
		method = "GET"
	}
	lines = host + "\n" + strings.TrimLeft(lines, "\n")
	got, want := p.fetch(method, target, lines), p.fetchFrom(p.direct, method, target, lines)
	if got.err != nil || want.err != nil || got.status != want.status || shown(got) != shown(want) {
		p.t.Errorf("%s %.60s with %.60q: got %d %.600q %v, want %d %.600q %v", method, target, lines, got.status, got.body, got.err, want.status, want.body, want.err)
	}
	if g, w := settled(c, got), settled(c, want); !maps.EqualFunc(g, w, slices.Equal) {
		p.t.Errorf("%s %.60s with %.60q: the head is\n%v\nand the application's is\n%v", method, target, lines, g, w)
	}
	return got
}

// fetchFrom sends a request to the server at addr.
func (w *world) fetchFrom(addr, method, target, lines string) page {
	w.t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		w.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nConnection: close\r\n%s\r\n\r\n", method, target, strings.ReplaceAll(lines, "\n", "\r\n"))
	return readPage(nc, method)
}

// shown is a page without the number of its copy.
func shown(p page) string {
	before, after, found := strings.Cut(p.body, "<p>Copy ")
	if !found {
		return p.body
	}
	_, after, _ = strings.Cut(after, "</p>")
	return before + after
}

// settled returns the headers that a page has whether it is a hit or not.
func settled(c combination, p page) map[string][]string {
	h := p.header.Clone()
	for _, name := range []string{"Date", "Connection", "Cache-Status", "Accept-Ranges", "Content-Range", "Vary"} {
		h.Del(name)
	}
	if c.format != "http" {
		h.Del("Cache-Control") // a hit has it no more
		if !c.weirdly {
			h.Del("X-Weird")
		}
	}
	if c.format == "gzip" {
		h.Del("Content-Length") // unknown after decompression
	}
	return h
}
