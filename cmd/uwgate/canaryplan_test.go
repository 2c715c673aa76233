package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/settings"
)

func TestFreshTarget(t *testing.T) {
	for _, tt := range []struct{ target, want string }{
		{"/", "/N"},
		{"/blog/", "/blog/N"},
		{"/blog", "/N"},
		{"/a%20b//c", "/a%20b//N"},
		{"/a/page.html", "/a/N.html"},
		{"/a/v1.2/archive.tar.gz", "/a/v1.2/N.gz"},
		{"/v1.2/", "/v1.2/N"},
		{"/a?x=/b.c&y=%20", "/N?x=/b.c&y=%20"},
		{"/a.css?", "/N.css?"},
	} {
		if got := freshTarget(tt.target, "N"); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.target, got, tt.want)
		}
	}
}

// planned is the proof of a command line, and its canaries.
func planned(t *testing.T, args ...string) (p *liveProof, probes []*probe, err error) {
	t.Helper()
	s, err := readSettings(settings.ForCheck(), args...)
	if err != nil {
		return nil, nil, err
	}
	if p, err = newLiveProof(t.Context(), s, nginxKnown{}); err == nil {
		probes, err = p.prepare()
	}
	return p, probes, err
}

// Every server has its share of the canaries, and no two canaries are one.
func TestPlan(t *testing.T) {
	a, b := []string{"--memcached", "10.0.0.1:11211"}, []string{"--memcached", "10.0.0.2:11211 weight=9"}
	for _, tt := range []struct {
		name string
		args [][]string
		want map[string]int // canaries by server
	}{
		{"one", [][]string{a}, map[string]int{"10.0.0.1:11211": 16}},
		{"consistent", [][]string{a, b, {"--hash", "consistent"}}, map[string]int{"10.0.0.1:11211": 16, "10.0.0.2:11211": 16}},
		{"modulo", [][]string{a, b, {"--hash", "modulo"}}, map[string]int{"10.0.0.1:11211": 16, "10.0.0.2:11211": 16}},
		{"all", [][]string{a, b}, map[string]int{"10.0.0.1:11211": 32, "10.0.0.2:11211": 32}},
		{"down", [][]string{a, b, {"--hash", "modulo", "--memcached", "10.0.0.3:11211 down"}}, map[string]int{"10.0.0.1:11211": 16, "10.0.0.2:11211": 16}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"--via", "http://h/folder/page.html?x=%20"}
			for _, more := range tt.args {
				args = append(args, more...)
			}
			_, probes, err := planned(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			keys, at := map[string]bool{}, map[string]int{}
			for _, pr := range probes {
				keys[pr.key] = true
				for _, server := range pr.servers {
					at[server]++
				}
				if want := "/folder/uwgate-canary-" + pr.token + ".html?x=%20"; pr.target != want || pr.key != "http://h"+want {
					t.Fatalf("got %s with the key %s, want %s", pr.target, pr.key, want)
				}
			}
			if len(keys) != len(probes) {
				t.Errorf("%d canaries have %d keys", len(probes), len(keys))
			}
			for server, n := range tt.want {
				if at[server] != n {
					t.Errorf("%d canaries for %s, want %d", at[server], server, n)
				}
			}
			if len(at) != len(tt.want) {
				t.Errorf("got %v, want %v", at, tt.want)
			}
		})
	}
}

// The key is that of the very request that nginx gets.
func TestPlanKeys(t *testing.T) {
	for _, tt := range []struct {
		name, via, key string
		headers        []string
		want           string
	}{
		{"host", "http://127.0.0.1:8080/", "$host|$http_host|$server_port|$uri", nil, "127.0.0.1|127.0.0.1:8080|8080|/N"},
		{"host of the site", "https://127.0.0.1/", "$scheme|$host|$server_port|$uri", []string{"Host: WWW.Example.com:81"}, "https|www.example.com|443|/N"},
		{"IPv6", "http://[::1]:81/", "$host|$server_port|$uri", nil, "[::1]|81|/N"},
		{"headers", "http://h/", "$http_accept_language|$cookie_a|$http_user_agent|$uri", []string{"Accept-Language: de", "Cookie: a=1; b=2"}, "de|1|uwgate-check|/N"},
		{"encoding", "http://h/", "$http_accept_encoding$uri", nil, "identity/N"},
		{"arguments", "http://h/a%20b/c?n=1&m=2", "$uri?$arg_m$is_args$args", nil, "/a b/N?2?n=1&m=2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"--memcached", "127.0.0.1:1", "--via", tt.via, "--key", tt.key}
			for _, h := range tt.headers {
				args = append(args, "--header", h)
			}
			_, probes, err := planned(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Replace(probes[0].key, canaryName+probes[0].token, "N", 1); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	memcached := []string{"--memcached", "127.0.0.1:1"}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no server", []string{"--via", "http://h/"}, "--memcached is missing"},
		{"all down", []string{"--via", "http://h/", "--memcached", "127.0.0.1:1 down"}, "every server is marked down"},
		{"path", append(memcached, "--via", "/page"), "--via: write a URL with nginx's address, as in http://127.0.0.1/page"},
		{"no URL", append(memcached, "--via", "ftp://h/"), "--via: "},
		{"bad path", append(memcached, "--via", "http://h/%zz/"), "--via: "},
		{"key without the path", append(memcached, "--via", "http://h/?id=1", "--key", "$host:$arg_id"), `the key "h:1" is that of every URL in this folder`},
		{"long", append(memcached, "--via", "http://h/"+strings.Repeat("a", 250)+"/"), "give a URL with a shorter path"},
		{"format", append(memcached, "--via", "http://h/", "--format", "xml"), `--format "xml"`},
		{"flag", append(memcached, "--via", "http://h/", "--gzip-flag", "3"), `--gzip-flag "3": write one bit`},
		{"template", append(memcached, "--via", "http://h/", "--key", "$msec"), `--key "$msec": template`},
		{"hash", append(memcached, "--via", "http://h/", "--hash", "ketama"), `--hash "ketama": hash method`},
		{"header", append(memcached, "--via", "http://h/", "--header", "nonsense"), `--header "nonsense": write 'Name: value'`},
		{"repeated header", append(memcached, "--via", "http://h/", "--key", "$http_x$uri", "--header", "X: 1", "--header", "X: 2"), "versions of nginx read that differently"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := planned(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// A canary is stored as the gateway stores its pages.
func TestMakeCanary(t *testing.T) {
	for _, format := range []string{"body", "gzip", "http"} {
		p, _, err := planned(t, "--memcached", "127.0.0.1:1", "--via", "http://h/", "--format", format, "--gzip-flag", "4")
		if err != nil {
			t.Fatal(err)
		}
		body, flags := p.value, uint32(0)
		switch format {
		case "gzip":
			body, flags = inflate(p.value), 4
		case "http":
			resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(p.value)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(resp.Body); err != nil || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" || resp.StatusCode != 200 {
				t.Errorf("http: got %+v, %v", resp, err)
			}
		}
		if !bytes.Equal(body, p.page) || p.flags != flags || !bytes.Contains(body, []byte(p.marker)) {
			t.Errorf("%s: got %q with the flags %d, want %q with %d", format, body, p.flags, p.page, flags)
		}
		if err := cachewriter.CheckKey(p.marker); err != nil {
			t.Error(err)
		}
	}
}
