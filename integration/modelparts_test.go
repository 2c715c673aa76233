package integration

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// Around the printed files, SSI, auth_request, mirror and the addition module make
// subrequests in random combinations. Each visitor gets his own page of each URL, made of the
// right parts, and memcached has each page under its own key.
//
// A fault names the seed with which it comes back.
func TestModelOfParts(t *testing.T) {
	t.Parallel()
	limit, err := time.ParseDuration(cmp.Or(os.Getenv("UWGATE_TEST_MODEL"), "5s"))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"body", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			seed, err := strconv.ParseUint(cmp.Or(os.Getenv("UWGATE_TEST_MODEL_SEED"), "1"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			count := modelCount{}
			for end := time.Now().Add(limit); time.Now().Before(end) && !t.Failed() || count["rounds"] < 1; seed++ {
				count["rounds"]++
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { partsRound(t, rand.New(rand.NewPCG(seed, 0)), format, count) })
			}
			t.Log(count)
			for _, what := range []string{"hits", "stored", "fragments stored", "refused", "added"} {
				if count[what] == 0 && (what != "fragments stored" || format == "body") {
					t.Errorf("these seeds prove nothing: %s are 0", what)
				}
			}
		})
	}
}

// A partsSite is a random server block around the printed files.
type partsSite struct {
	name, host           string
	flags                []string
	hasSSI               bool
	before, after, auth  string // where subrequests go; "": there are none
	server, inLocation   string // lines
	mirrors, rewritesOld bool
}

// partTargets are where subrequests go: to locations of their own, to pages, and to fragments.
var partTargets = []string{"/own/auth", "/own/auth", "/auth", "/fragments/auth", "/fragments/auth"}

func newPartsSite(r *rand.Rand, n int, format string) *partsSite {
	s := &partsSite{name: fmt.Sprint("s", n), host: fmt.Sprintf("s%d.example", n)}
	s.hasSSI = r.IntN(4) > 0
	if s.hasSSI {
		s.flags = append(s.flags, "--ssi", "/fragments/")
	}
	if key := pick(r, "", "", "$visitor$scheme://$host$uri$is_args$args", "$visitor$host$document_uri?$query_string", "$visitor$host$request_uri"); key != "" {
		s.flags = append(s.flags, "--key", key)
	} else if r.IntN(3) == 0 {
		s.flags = append(s.flags, "--ignore-arg", "utm_*")
	}
	s.server = "location /own/ { internal; uwsgi_pass uwgate_" + s.name + "; }\n"
	put := func(format, target string) {
		if line := fmt.Sprintf(format, target); r.IntN(2) == 0 {
			s.server += line + "\n"
		} else {
			s.inLocation += line + "\n"
		}
	}
	if r.IntN(2) == 0 {
		s.auth = pick(r, "/own/auth", "/auth", "/fragments/auth") // auth_request takes no arguments
		put("auth_request %s;", s.auth)
	}
	if r.IntN(2) == 0 {
		s.mirrors = true
		put("mirror %s;", pick(r, partTargets...))
	}
	// With srcache, subrequests of hits and of misses differ, as nginx's modules are in order.
	if r.IntN(3) == 0 {
		s.after = pick(r, partTargets...)
		s.server += "add_after_body " + s.after + ";\n"
	}
	if r.IntN(4) == 0 {
		s.before = pick(r, partTargets...)
		s.server += "add_before_body " + s.before + ";\n"
	}
	if s.rewritesOld = r.IntN(3) == 0; s.rewritesOld {
		s.server += "rewrite ^/old(/.*)$ $1;\n"
	}
	if r.IntN(3) == 0 {
		s.server += "recursive_error_pages on;\n"
	}
	return s
}

// partsRound runs one nginx with random sites, each with random visitors.
func partsRound(t *testing.T, r *rand.Rand, format string, count modelCount) {
	w := start(t, stack.Config{App: filepath.Join("testdata", "parts"), Workers: 2, Format: format, Memcached: 1 + r.IntN(2), Args: []string{"--sentinel", "none"}})
	addr := freeAddr(t)
	var sites []*partsSite
	conf := "variables_hash_max_size 8192;\n"
	for n := range 8 {
		s := newPartsSite(r, n, format)
		sites = append(sites, s)
		for _, part := range []string{"http", "server"} {
			flags := append([]string{"--format", format, "--part", part, "--name", s.name}, s.flags...)
			for _, m := range w.Memcached[1:] {
				flags = append(flags, "--memcached", m.Addr)
			}
			text := w.printed(flags...)
			text = strings.Replace(text, "location / {", "location / {\n"+s.inLocation, 1)
			w.writeFile("uwgate/"+s.name+"-"+part+".conf", strings.NewReplacer("200ms;", "10s;", "500ms;", "10s;").Replace(text))
		}
		conf += fmt.Sprintf("include uwgate/%[1]s-http.conf;\nserver { listen %[2]s; server_name %[3]s;\n%[4]sinclude uwgate/%[1]s-server.conf;\n}\n", s.name, addr, s.host, s.server)
	}
	w.writeFile("site.conf", conf)
	if err := w.Nginx.Reload(); err != nil {
		t.Fatal(err)
	}
	w.eventually("nginx has the sites", func() bool { return stack.Connects(t.Context(), addr) == nil })
	j := &partsJudge{world: w, addr: addr, count: count, seen: map[string]bool{}}
	for _, s := range sites {
		for range 60 {
			j.visit(s, r)
		}
	}
	j.checkStored()
	if t.Failed() {
		t.Logf("%s", conf)
	}
}

// A partsJudge compares what visitors get with what they should.
type partsJudge struct {
	*world
	addr  string
	count modelCount
	seen  map[string]bool // copies of main pages
}

var copyNumber = regexp.MustCompile(`\((\d+\.\d+)\)`)

func (j *partsJudge) visit(s *partsSite, r *rand.Rand) {
	j.t.Helper()
	target := pick(r, "/page/1", "/page/1", "/page/2", "/plain", "/plain?a=1", "/fresh", "/x/private", "/fragments/menu?x=1", "/fragments/fresh", "/fragments/in/a", "/auth", "/other/part", "/accel/plain", "/accel/page/1")
	if s.rewritesOld && r.IntN(8) == 0 {
		target = "/old" + target
	}
	cookie := pick(r, "", "", "", "sessionid=ana", "sessionid=ben", "theme=dark", "theme=light", "csrftoken=x", "no=1", "no=1; sessionid=ana")
	method := pick(r, "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST")
	lines := "Host: " + s.host
	if cookie != "" {
		lines += "\nCookie: " + cookie
	}
	if method == "POST" {
		lines += "\nContent-Length: 3\n\na=b"
	}
	got := j.fetchFrom(j.addr, method, target, lines)
	if r.IntN(2) == 0 {
		j.settle()
	}
	status, want := s.page(target, cookie)
	if method == "HEAD" {
		want = ""
	}
	j.count["requests"]++
	if body := copyNumber.ReplaceAllString(got.body, ""); got.err != nil || got.status != status || status == 200 && body != want {
		j.t.Errorf("%s %s with %q: got %d %q, %v; want %d %q; site %s", method, target, cookie, got.status, body, got.err, status, want, s.name)
	}
	if status != 200 {
		j.count["refused"]++
		return
	}
	if s.after+s.before != "" {
		j.count["added"]++
	}
	for _, m := range copyNumber.FindAllStringSubmatch(got.body, -1) {
		if j.seen[m[1]] {
			j.count["hits"]++
		}
		j.seen[m[1]] = true
	}
}

// page returns what a visitor gets.
func (s *partsSite) page(target, cookie string) (status int, body string) {
	if s.rewritesOld {
		target = strings.TrimPrefix(target, "/old")
	}
	isRefused := strings.Contains(cookie, "no=1")
	isAsked := s.auth != ""
	if strings.HasPrefix(target, "/fragments/") && s.hasSSI && !strings.Contains(s.server, "auth_request") {
		isAsked = false // what stands in location / does not count there
	}
	if isRefused && (isAsked || strings.HasPrefix(target, "/auth")) {
		return 403, ""
	}
	target = strings.TrimPrefix(target, "/accel")
	body = s.part(target, cookie)
	if s.before != "" {
		body = s.part(s.before, cookie) + body
	}
	if s.after != "" {
		body += s.part(s.after, cookie)
	}
	return 200, body
}

// part returns what the application makes of a URL, with the parts that it includes.
func (s *partsSite) part(target, cookie string) string {
	path, query, _ := strings.Cut(target, "?")
	who := "anyone"
	for _, c := range strings.Split(cookie, "; ") {
		if name, value, _ := strings.Cut(c, "="); name == "sessionid" || name == "theme" {
			who = value
		}
	}
	if strings.HasSuffix(path, "/fresh") {
		who = "all"
	}
	text := "{" + path + "?" + query + " " + who
	var included []string
	switch {
	case strings.HasPrefix(path, "/page/"):
		included = []string{"/fragments/fresh", "/fragments/menu?x=1", "/other/part", "/fragments/in/a"}
	case strings.HasPrefix(path, "/fragments/in/"):
		included = []string{"/fragments/menu?x=2"}
	}
	for _, u := range included {
		if s.hasSSI {
			text += s.part(u, cookie)
		} else {
			text += `<!--#include virtual="` + u + `" -->`
		}
	}
	return text + "}\n"
}

// checkStored wants the pages in memcached to be those of their keys, and for everybody who
// is looked up under them.
func (j *partsJudge) checkStored() {
	j.t.Helper()
	j.settle()
	own := regexp.MustCompile(`\{(\S+?)\?(\S*) (\w+)`)
	for _, key := range j.keys() {
		if strings.HasPrefix(key, "uwg:") {
			continue
		}
		url := regexp.MustCompile(`^\+?(?:http://)?s\d+\.example(/[^?]*)\??(.*)$`).FindStringSubmatch(key)
		value := strings.Join(j.values(key), "\n")
		page := own.FindStringSubmatch(value)
		if value == "" {
			continue // deleted meanwhile
		}
		j.count["stored"]++
		if strings.Contains(key, "/fragments/") {
			j.count["fragments stored"]++
		}
		if url == nil || page == nil || url[1] != page[1] || url[2] != page[2] || page[3] != "anyone" && page[3] != "all" {
			j.t.Errorf("%s is stored with %q", key, value)
		}
	}
}

// values returns the lines of an entry.
func (j *partsJudge) values(key string) (lines []string) {
	j.t.Helper()
	for _, m := range j.Memcached {
		lines = append(lines, j.talk(m.Addr, "get "+strings.ReplaceAll(key, "%", "%25")+"\r\n", "END")...)
	}
	return lines
}
