package integration

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// modelDir stands for the folder of nginx in the text of a site.
const modelDir = "/DIR"

// modelFrame are the lines of http that all sites need.
const modelFrame = "upstream mem { server unix:" + modelDir + "/m.sock; } upstream gw { server unix:" + modelDir + "/w.sock; }"

// modelParams are the stock params, without those that no key needs.
const modelParams = "uwsgi_param REQUEST_METHOD $request_method; uwsgi_param REQUEST_URI $request_uri; uwsgi_param PATH_INFO $uri; uwsgi_param QUERY_STRING $args; " +
	"uwsgi_param REQUEST_SCHEME $scheme; uwsgi_param SERVER_NAME $server_name; uwsgi_param SERVER_PORT $server_port; uwsgi_param HTTP_HOST $host; uwsgi_param PASS $pass; "

// A modelSite is a random server block.
type modelSite struct {
	r      *rand.Rand
	socket string
	body   string // what stands in the server block

	passes int // how many uwsgi_pass there are
}

func newModelSite(r *rand.Rand) *modelSite {
	s := &modelSite{r: r}
	params := s.pick("", "", "uwsgi_param CACHE_STATUS $upstream_status; ", "uwsgi_param CACHE_STATUS $upstream_status; uwsgi_param CACHE_KEY $memcached_key; ")
	var b strings.Builder
	fmt.Fprintf(&b, "root %s/www; auth_basic_user_file %s/users; default_type text/html; charset utf-8;\n", modelDir, modelDir)
	b.WriteString(modelParams + params + "\n")
	b.WriteString("set $pass 0; set $z \"\";\n")
	b.WriteString("set $memcached_key " + s.key() + ";\n")
	if s.chance(5) {
		b.WriteString("recursive_error_pages on;\n")
	}
	if s.chance(5) {
		b.WriteString(s.errorPage())
	}
	for range s.upTo(2) {
		b.WriteString(s.rewriteLine(0, true))
	}
	b.WriteString("location / {" + s.lookup() + "}\n")
	for _, args := range []string{"= /a/x", "/a/", "^~ /b", `~ \.php$`, "/c/", "= /index.php", "/e/"} {
		if s.chance(2) {
			b.WriteString("location " + args + " {" + s.location(args) + "}\n")
		}
	}
	b.WriteString("location @app {" + s.block(s.rewriteLines(6)+s.extras(true, 8), "uwsgi_pass gw; ") + "}\n")
	for _, name := range []string{"@m", "@n"} {
		extras := s.extras(true, 3)
		if !strings.Contains(extras, "index ") {
			extras += "index none.html; " // by default the model takes files for files there
		}
		b.WriteString("location " + name + " {" + s.block(s.rewriteLines(2)+extras, s.handler()) + "}\n")
	}
	s.body = b.String()
	return s
}

// server returns the server block.
func (s *modelSite) server() string {
	return "server { listen unix:" + s.socket + "; server_name site.test;\n" + s.body + "}\n"
}

// chance is true once in n times.
func (s *modelSite) chance(n int) bool { return s.r.IntN(n) == 0 }

func (s *modelSite) upTo(n int) int { return s.r.IntN(n + 1) }

func pick(r *rand.Rand, all ...string) string { return all[r.IntN(len(all))] }

func (s *modelSite) pick(all ...string) string { return pick(s.r, all...) }

func (s *modelSite) key() string {
	return s.pick("$host$request_uri", "$host$request_uri", "$host$request_uri", "$host$uri", "$host$uri?$args", "$host$uri$is_args$args", "$host$uri?p=$arg_p", "$host$document_uri?$query_string", "$z$host$request_uri")
}

// lookup is the usual location with a lookup, with something else in it.
func (s *modelSite) lookup() string {
	page := "error_page 404 405 502 504 = " + s.pick("@app", "@app", "@app", "@app", "@m", "/e/x", "/index.php?$args", "/e$uri") + ";"
	if s.chance(8) {
		return s.block(s.rewriteLines(3)+"if ("+s.condition()+") { memcached_pass mem; "+s.pick("", page)+" } "+page+s.extras(false, 6), s.handler())
	}
	return s.rewriteLines(3) + "memcached_pass mem; " + page + s.extras(false, 6)
}

func (s *modelSite) location(args string) string {
	inner := ""
	if args == "/a/" && s.chance(2) {
		inner = "location " + s.pick("/a/b/", `~ \.txt$`, "= /a/") + " {" + s.location("") + "}"
	}
	if s.chance(3) {
		return s.lookup() + inner
	}
	return s.block(s.rewriteLines(2)+s.extras(false, 3), s.handler()) + inner
}

func (s *modelSite) handler() string {
	switch s.upTo(7) {
	case 0, 1, 2:
		return "uwsgi_pass gw; "
	case 3, 4:
		return "memcached_pass mem; "
	case 5:
		return "proxy_pass http://unix:" + modelDir + "/none.sock; "
	}
	return "" // files
}

// block returns the lines of a block with its handler. Each uwsgi_pass has a number: a
// comment behind it says so in the text, and $pass in the packet.
func (s *modelSite) block(lines, handler string) string {
	if handler != "uwsgi_pass gw; " {
		return lines + handler
	}
	s.passes++
	return fmt.Sprintf("set $pass %d; %suwsgi_pass gw; #%d\n", s.passes, lines, s.passes)
}

// rewriteLines are up to n lines of the rewrite module, often none.
func (s *modelSite) rewriteLines(n int) string {
	var b strings.Builder
	if s.chance(2) {
		return ""
	}
	for range s.upTo(n) {
		line := s.rewriteLine(0, false)
		isEvil := strings.HasPrefix(line, "if") && !strings.Contains(line, "_pass") && strings.Contains(b.String(), "_pass")
		if !isEvil { // nginx breaks down on an `if` without a handler after one with a handler
			b.WriteString(line)
		}
	}
	return b.String()
}

func (s *modelSite) rewriteLine(depth int, inServer bool) string {
	switch s.upTo(9) {
	case 0:
		return "set $args " + s.pick(`"v=2&$args"`, "p=1", `"$args&z=$http_x"`, `""`) + "; "
	case 1:
		return "set $memcached_key " + s.key() + "; "
	case 2:
		return "set $z " + s.pick("1", "$uri", "$http_x", `""`) + "; "
	case 3, 4:
		return "rewrite " + s.pick("^/a/(.*)$ /$1", "^ /index.php", "^/(.*)$ /e/$1", "^/c/ /a/x", "^/e/(.*) /c/$1?q=$1", "^/old /b.php?", "(.*) $1.php", "^/a ?n=1") + s.pick("", " last", " break", " break", " redirect") + "; "
	case 5:
		return s.pick("break", "return 404", "return 405", "return 418", "return 502", "return 403", "return 200 x", "return 302 /b/") + "; "
	}
	if depth > 0 {
		return "set $z 2; "
	}
	var b strings.Builder
	for range s.upTo(2) {
		b.WriteString(s.rewriteLine(1, inServer))
	}
	if !inServer && s.chance(6) {
		b.WriteString(s.errorPage())
	}
	handler := ""
	if !inServer && s.chance(3) {
		handler = s.handler()
	}
	return "if (" + s.condition() + ") { " + s.block(b.String(), handler) + "} "
}

func (s *modelSite) condition() string {
	return s.pick("$http_x", "$http_x = 1", "$cookie_m", "$arg_p", "$request_method = GET", "$request_method = POST", "$request_method !~ ^(GET|HEAD)$", "$uri ~ php", "$request_uri ~ a", "-f $request_filename", "!-e $request_filename", "$z", "$upstream_status = 404", "$args")
}

func (s *modelSite) errorPage() string {
	codes := []string{"404"}
	for _, code := range []string{"302", "401", "403", "405", "418", "500", "502", "503", "504"} {
		if s.chance(3) {
			codes = append(codes, code)
		}
	}
	if s.chance(3) {
		codes = codes[1:]
	}
	if len(codes) == 0 {
		codes = []string{"404", "403"}
	}
	return "error_page " + strings.Join(codes, " ") + " " + s.pick("= ", "=", "", "=200 ") + s.target() + "; "
}

func (s *modelSite) target() string {
	return s.pick("@app", "@app", "@m", "@n", "/e/x", "/a/x", "/index.php", "/index.php?$args", "/e$uri", "/c/", "/b.php", "$uri.php", "/f.txt", "http://elsewhere.test/")
}

// extras are directives that refuse requests, or send them elsewhere: each once in n
// times.
func (s *modelSite) extras(isNamed bool, n int) string {
	var b strings.Builder
	for _, line := range []string{"deny all; ", "auth_basic x; ", "satisfy any; ", "uwsgi_intercept_errors on; ", "recursive_error_pages on; ", "limit_except POST { deny all; } ", "index g.txt /index.php; ", "satisfy any; allow all; auth_basic y; "} {
		if s.chance(n * 3) {
			if strings.HasPrefix(line, "satisfy") && strings.Contains(b.String(), "satisfy") || strings.Contains(line, "auth_basic") && strings.Contains(b.String(), "auth_basic") {
				continue
			}
			b.WriteString(line)
		}
	}
	if s.chance(n) {
		b.WriteString(s.errorPage())
	}
	if s.chance(n) {
		var files []string
		for range 1 + s.upTo(1) {
			files = append(files, s.pick("$uri", "$uri", "/f.txt", "/nope", "$uri/", "$uri.php", "/c/g.txt"))
		}
		last := s.target()
		if strings.HasPrefix(last, "http") || s.chance(4) {
			last = s.pick("=404", "=418", "=502")
		}
		b.WriteString("try_files " + strings.Join(files, " ") + " " + last + "; ")
	}
	if !isNamed && s.chance(n*3) {
		b.WriteString("internal; ")
	}
	return b.String()
}

// A modelRequest is a random GET.
type modelRequest struct {
	target  string
	headers []string
	broken  bool // memcached responds with an error
}

func (q modelRequest) String() string {
	broken := ""
	if q.broken {
		broken = ", memcached is broken"
	}
	return fmt.Sprintf("GET %s %q%s", q.target, q.headers, broken)
}

// modelRequests returns requests such that some have the same URL.
func modelRequests(r *rand.Rand) (all []modelRequest) {
	paths := []string{"/", "/x", "/a/x", "/a/", "/a", "/a/b/y", "/b/z", "/b.php", "/c/", "/c/g.txt", "/index.php", "/e/x", "/f.txt", "/old", "/n.php"}
	for range 6 {
		target := pick(r, paths...) + pick(r, "", "", "?p=1", "?z")
		for range 4 {
			q := modelRequest{target: target, broken: r.IntN(8) == 0}
			for _, h := range []string{"X: 1", "X: 2", "Cookie: m=1", "X-Status: 404", "X-Status: 502", "X-To: /a/x", "X-To: /x"} {
				if r.IntN(5) == 0 && !(strings.HasPrefix(h, "X-") && r.IntN(2) == 0) {
					q.headers = append(q.headers, h)
				}
			}
			all = append(all, q)
		}
	}
	return slices.Clip(all)
}
