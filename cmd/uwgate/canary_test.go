package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"uwgate/cachewriter"
)

// leavesNothing fails the test if a memcached holds anything but what it held, heard
// a command that could harm an entry of others, or was given one for over a minute.
func (s *fakeSite) leavesNothing(held map[string]fakeItem) {
	s.t.Helper()
	for i, f := range s.caches {
		if got := f.holds(); i == 0 && !maps.Equal(got, held) || i > 0 && len(got) > 0 {
			s.t.Errorf("memcached %d holds %v in the end", i+1, got)
		}
		for _, command := range f.heard {
			word, rest, _ := strings.Cut(command, " ")
			switch words := strings.Fields(rest); word {
			case "add":
				if life, err := strconv.Atoi(words[2]); err != nil || life < 1 || life > 60 {
					s.t.Errorf("%q is to live for %d s", command, life)
				}
			case "delete":
				if _, others := held[words[0]]; others {
					s.t.Errorf("another's entry is deleted: %q", command)
				}
			case "get", "watch":
			default:
				s.t.Errorf("memcached was told %q", command)
			}
		}
	}
}

func TestLiveProof(t *testing.T) {
	for _, tt := range []struct {
		name    string
		caches  int
		args    []string
		set     func(*fakeSite) // nil: the site is as uwgate expects it
		outcome outcome
		says    []string // what the report has in it
	}{
		{"body", 1, nil, nil, liveHit, []string{"16 canaries of 16"}},
		{"gzip", 1, []string{"--format", "gzip"}, nil, liveHit, []string{"Content-Encoding: gzip"}},
		{"http", 1, []string{"--format", "http"}, func(s *fakeSite) { s.found = sendHead }, liveHit, nil},
		{"several", 3, nil, nil, liveHit, []string{"48 canaries of 48, on 3 of its servers"}},
		{"mirrored", 2, []string{"--hash", "none"}, nil, liveHit, []string{"32 canaries of 32"}},
		{"one is down", 1, []string{"--hash", "none", "--memcached", "127.0.0.1:1 down"}, nil, liveHit, []string{"16 canaries of 16"}},
		{"gzip for all", 1, []string{"--format", "gzip"}, func(s *fakeSite) { s.found = alwaysZipped }, liveHit,
			[]string{"a client that does not accept gzip gets it; add `gunzip on;`"}},
		{"type of an extension", 1, nil, func(s *fakeSite) { s.page, s.found = "/data.json", asJSON }, liveHit, nil},
		{"changed on the way", 1, nil, func(s *fakeSite) { s.found = changed }, liveHit, []string{"nginx changes the page on its way"}},
		{"once no hit", 2, nil, func(s *fakeSite) { s.key = butNot(3) }, liveHit, []string{"was no hit (404 Not Found", "and the next one was"}},

		{"key", 1, nil, func(s *fakeSite) { s.key = prefixed(":1:") }, offKey,
			[]string{"give --key ':1:$request_uri'", "serve` takes any and needs no --key"}},
		{"key in the gateway's place", 1, []string{"--key", ":2:$request_uri"}, func(s *fakeSite) { s.key = prefixed(":1:") }, offKey,
			[]string{"give --key ':1:$request_uri'"}},
		{"key without arguments", 1, nil, func(s *fakeSite) { s.page, s.key = "/x?a=1", ofPath }, offKey, []string{"give --key '$scheme://$host$uri'"}},
		{"key with a port", 1, nil, func(s *fakeSite) { s.key = withPort }, offKey, []string{"give --key '$scheme://$http_host$request_uri'"}},
		{"key with a port, of an nginx that does not tell it", 1, []string{"--nginx-version", "1.29.6"}, func(s *fakeSite) { s.key = withPort }, offKey,
			[]string{"give --key the value of nginx's `set $memcached_key`"}},
		{"key of another site", 1, []string{"--header", "Host: WWW.Example.com"}, func(s *fakeSite) { s.key = func(r *http.Request) string { return "x" + siteKey(r) } }, offKey,
			[]string{"give --key 'x$scheme://$host$request_uri'"}},
		{"key that no template makes", 1, nil, func(s *fakeSite) { s.key = suffixed }, offKey, []string{"give --key the value of nginx's `set $memcached_key`"}},
		{"key that is a hash", 1, nil, func(s *fakeSite) { s.key = hashed }, offLookup,
			[]string{"was asked for a key without this URL in it, by others or by nginx if its key is a hash: 7b6f"}},

		{"hash", 2, nil, func(s *fakeSite) { s.method = cachewriter.Modulo }, offServer, []string{"fit --hash modulo", "give --hash modulo"}},
		{"weights", 2, nil, func(s *fakeSite) { s.weight = 9 }, offServer, []string{"give --hash consistent without weights"}},
		{"no hash that is known", 2, nil, func(s *fakeSite) { s.method, s.contrary = cachewriter.Modulo, true }, offServer,
			[]string{"compare --memcached with nginx's upstream block"}},
		{"one server only", 2, nil, func(s *fakeSite) { s.asks = s.asks[:1] }, offServer, nil},
		{"one server more", 1, nil, func(s *fakeSite) { s.asks = append(s.asks, startFakeCache(s.t).addr) }, offServer,
			[]string{"name every server of nginx's upstream block"}},
		{"forgetful", 1, nil, func(s *fakeSite) { s.caches[0].says("add", "STORED\r\n") }, offServer, []string{"no longer had it"}},

		{"no gzip flag", 1, []string{"--format", "gzip", "--gzip-flag", "8"}, nil, offFormat, []string{"memcached_gzip_flag 8; gunzip on;"}},
		{"head in the page", 1, []string{"--format", "http"}, nil, offFormat, []string{"serves the head as a part of the page"}},
		{"no head", 1, nil, func(s *fakeSite) { s.found = sendHead }, offFormat, []string{"goes on to the application all the same", "start uwgate with --format http"}},
		{"head that is not taken", 1, []string{"--format", "http"}, func(s *fakeSite) { s.found = refuses }, offFormat, []string{"memc_pass or srcache_fetch has against"}},
		{"another status", 1, nil, func(s *fakeSite) { s.found = asTeapot }, offFormat, []string{"makes a 418 of it"}},
		{"type", 1, []string{"--hit-type", "text/html"}, nil, offFormat, []string{`serves the page as "text/html; charset=utf-8"`, "or give --hit-type 'text/html; charset=utf-8'"}},

		{"not looked up", 1, nil, notLookedUp(answerAs(404)), offLookup, []string{"nginx responds with 404 and asks none of --memcached", "the request came to uwgate"}},
		{"another's page", 1, nil, notLookedUp(answerItself(404)), offLookup, []string{"does not have uwgate's Cache-Status"}},
		{"the gateway's 502", 1, nil, notLookedUp(answerAs(502)), offLookup, nil},

		{"redirect", 1, nil, notLookedUp(answerItself(302)), offReach, []string{"nginx itself responds with 302", "the one that it redirects to"}},
		{"redirect to https", 1, nil, notLookedUp(answerTo("https://www.example.com/x")), offReach,
			[]string{"nginx redirects to https://www.example.com: give --via https://www.example.com/ in place of http://127.0.0.1", "with --header 'Host: www.example.com'"}},
		{"password", 1, nil, notLookedUp(answerItself(401)), offReach, []string{"give --header 'Authorization: Basic"}},
		{"a CDN's 403", 1, nil, notLookedUp(answerWith(403, "Via", "1.1 edge", "X-Cache", "Error from cloudfront")), offReach,
			[]string{"came through a CDN or proxy before nginx (Via: 1.1 edge, X-Cache: Error from cloudfront)", "give --via the address of nginx itself", "nginx, or what stands before it, responds with 403"}},
		{"a CDN's page", 1, nil, notLookedUp(answerWith(200, "Age", "17")), offLookup, []string{"came through a CDN or proxy before nginx (Age: 17)"}},
		{"no gateway at --listen", 1, []string{"--listen", "unix:/no/such/socket"}, notLookedUp(answerItself(502)), offReach,
			[]string{"nothing takes connections at unix:/no/such/socket", "start `uwgate serve --listen unix:/no/such/socket`"}},

		{"misses elsewhere", 1, nil, func(s *fakeSite) { s.missed = answerItself(404) }, offGateway,
			[]string{"miss not through uwgate: 404 Not Found", "does not have uwgate's Cache-Status", "does not come back through uwgate"}},
		{"misses nowhere", 1, nil, func(s *fakeSite) { s.missed = answerItself(502) }, offGateway, []string{"see nginx's error log", "does not come back through uwgate"}},
		{"misses to a cache that is not uwgate", 1, nil, func(s *fakeSite) { s.missed = answerWith(200, "Cache-Status", "squid; fwd=miss, uwgate; hit") }, offGateway, nil},
		{"misses that are never stored", 1, nil, func(s *fakeSite) {
			s.missed = answerWith(404, "Cache-Status", "squid; fwd=miss, uwgate; fwd=bypass; fwd-status=404; detail=not-looked-up")
		}, offStore, []string{"stores none of them: not-looked-up", "uwsgi_param CACHE_STATUS $upstream_status;"}},
		{"misses of visitors with a password", 1, nil, func(s *fakeSite) {
			s.missed = answerWith(200, "Cache-Status", "uwgate; fwd=bypass; fwd-status=200; detail=authorization")
		}, liveHit, []string{"only if their response grants a lifetime (authorization)"}},
		{"misses that no worker answers", 1, nil, func(s *fakeSite) { s.missed = answerWith(503, "Cache-Status", "uwgate; detail=error") }, liveHit,
			[]string{"the miss came to uwgate, and the response is 503"}},
		{"misses through another cache", 1, nil, func(s *fakeSite) {
			s.missed = answerWith(200, "Cache-Status", "squid; hit, uwgate; hit; ttl=5; detail=found")
		}, liveHit, nil},

		{"bad request", 1, nil, notLookedUp(answerItself(400)), offReach, []string{"the URL's scheme fits nginx's port"}},
		{"forbidden", 1, nil, notLookedUp(answerItself(403)), offReach, []string{"a URL that anybody may see", "the User-Agent is uwgate-check"}},
		{"limits", 1, nil, notLookedUp(answerItself(429)), offReach, []string{"limit_req"}},
		{"no key", 1, nil, notLookedUp(answerItself(500)), offReach, []string{"$memcached_key may not be set"}},
		{"no gateway", 1, nil, notLookedUp(answerItself(502)), offReach, []string{"names what cannot be reached"}},
		{"hung up", 1, nil, func(s *fakeSite) { s.before = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) } }, offReach,
			[]string{"nginx does not respond: read the response"}},
		{"closed", 1, nil, func(s *fakeSite) { s.server.Close() }, offReach, []string{"nginx does not take connections at 127.0.0.1 port"}},
		{"memcached refuses", 1, nil, func(s *fakeSite) { s.caches[0].says("add", "SERVER_ERROR out of memory\r\n") }, offReach,
			[]string{"the canary cannot be written", "out of memory"}},
		{"memcached hangs up", 1, nil, func(s *fakeSite) { s.caches[0].hangsUp = "add" }, offReach, []string{"the canary cannot be written", "EOF"}},
		{"no memcached", 1, []string{"--memcached", "127.0.0.1:1"}, nil, offReach, []string{"the canary cannot be written", "connection refused"}},

		{"no watch", 1, nil, func(s *fakeSite) { s.key = prefixed("x"); s.caches[0].says("watch", "ERROR\r\n") }, offMiss,
			[]string{"cannot be determined here", `it says "ERROR"`}},
		{"a watch that is too much", 1, nil, func(s *fakeSite) { s.key = noKey; s.caches[0].skipped = 7 }, offMiss, []string{"is too busy to report all lookups: 7"}},
		{"no watch, another server", 2, nil, func(s *fakeSite) {
			s.asks = s.asks[:1]
			for _, f := range s.caches {
				f.says("watch", "ERROR\r\n")
			}
		}, offServer, []string{"nginx serves some of the canaries"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startSite(t, tt.caches)
			if tt.set != nil {
				tt.set(s)
			}
			r, err := s.check(t.Context(), nil, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			if err := r.write(&text); err != nil {
				t.Fatal(err)
			}
			flat := strings.Join(strings.Fields(text.String()), " ")
			if r.Outcome != tt.outcome || len(r.Left) > 0 {
				t.Errorf("got %s, want %s:\n%s", r.Outcome, tt.outcome, &text)
			}
			if r.hit() && (r.Hits != r.Tried || len(s.asked) != r.Tried+1 || !r.Miss.Through) {
				t.Errorf("%d canaries of %d are hits, and %d were asked for; the miss: %+v", r.Hits, r.Tried, len(s.asked), r.Miss)
			}
			for _, say := range tt.says {
				if !strings.Contains(flat, say) {
					t.Errorf("%q is missing from\n%s", say, &text)
				}
			}
			s.leavesNothing(map[string]fakeItem{})
		})
	}
}

func notLookedUp(answer http.HandlerFunc) func(*fakeSite) {
	return func(s *fakeSite) { s.key, s.missed = noKey, answer }
}

// answerWith is an nginx that does not come to a lookup, and sends headers.
func answerWith(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

func answerTo(location string) http.HandlerFunc { return answerWith(301, "Location", location) }

func noKey(*http.Request) string { return "" }

func prefixed(prefix string) func(*http.Request) string {
	return func(r *http.Request) string { return prefix + r.RequestURI }
}

func ofPath(r *http.Request) string {
	key, _, _ := strings.Cut(siteKey(r), "?")
	return key
}

func withPort(r *http.Request) string { return "http://" + r.Host + r.RequestURI }
func suffixed(r *http.Request) string { return siteKey(r) + "$" }
func hashed(r *http.Request) string   { return fmt.Sprintf("7b6f%x", len(r.RequestURI)) }

// butNot has one request not be looked up.
func butNot(n int) func(*http.Request) string {
	return func(r *http.Request) string {
		if n--; n == 0 {
			return ""
		}
		return siteKey(r)
	}
}

func alwaysZipped(w http.ResponseWriter, r *http.Request, item *cachewriter.Item) {
	r.Header.Set("Accept-Encoding", "gzip")
	sendBody(w, r, item)
}

func asJSON(w http.ResponseWriter, r *http.Request, item *cachewriter.Item) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(item.Value)
}

func changed(w http.ResponseWriter, r *http.Request, item *cachewriter.Item) {
	sendBody(w, r, item)
	io.WriteString(w, "<script>count()</script>")
}

func refuses(w http.ResponseWriter, r *http.Request, _ *cachewriter.Item) { answerAs(404)(w, r) }

func asTeapot(w http.ResponseWriter, r *http.Request, item *cachewriter.Item) {
	w.WriteHeader(http.StatusTeapot)
	sendBody(w, r, item)
}

// What a proof must not touch, and what it must not leave.

func TestLiveProofReplacesNobody(t *testing.T) {
	s := startSite(t, 1)
	f := s.caches[0]
	held := map[string]fakeItem{}
	f.say = func(command string) string {
		if words := strings.Fields(command); words[0] == "add" && len(held) == 0 {
			held[words[1]] = fakeItem{"a page", "0"}
			f.items[words[1]] = held[words[1]]
		}
		return ""
	}
	if _, err := s.check(t.Context(), nil); !errors.Is(err, errTaken) {
		t.Errorf("got %v, want %v", err, errTaken)
	}
	s.leavesNothing(held)
}

func TestLiveProofIsInterrupted(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*fakeSite, func())
	}{
		{"while it writes", func(s *fakeSite, stop func()) {
			s.caches[0].say = func(command string) string {
				if strings.HasPrefix(command, "add ") && len(s.caches[0].items) == 5 {
					stop()
				}
				return ""
			}
		}},
		{"while nginx answers", func(s *fakeSite, stop func()) {
			s.before = func(_ http.ResponseWriter, r *http.Request) {
				stop()
				<-r.Context().Done()
				panic(http.ErrAbortHandler)
			}
		}},
		{"while it looks for the reason", func(s *fakeSite, stop func()) {
			s.key = prefixed("x")
			s.caches[0].say = func(command string) string {
				if strings.HasPrefix(command, "watch ") {
					stop()
				}
				return ""
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startSite(t, 1)
			ctx, stop := context.WithCancelCause(t.Context())
			why := errors.New("enough")
			tt.prepare(s, func() { stop(why) })
			if r, err := s.check(ctx, nil); !errors.Is(err, why) {
				t.Errorf("got %+v, %v; want %v", r, err, why)
			}
			if len(s.caches[0].commands("add")) == 0 {
				t.Error("nothing was written")
			}
			s.leavesNothing(map[string]fakeItem{})
		})
	}
}

// What workers store for the canary's URL is deleted, too, and is not taken for what
// nginx asks for.
func TestLiveProofCleansUpAfterOthers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		looksUp func(*http.Request) string
		stores  func(*http.Request) string
		outcome outcome
	}{
		{"where nginx looks", prefixed(":1:"), prefixed(":1:"), offKey},
		{"elsewhere", noKey, prefixed("view:"), offLookup},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startSite(t, 1)
			s.key = tt.looksUp
			s.missed = func(w http.ResponseWriter, r *http.Request) {
				s.caches[0].set(tt.stores(r), "the application's page")
				answerAs(200)(w, r)
			}
			s.found = func(w http.ResponseWriter, r *http.Request, _ *cachewriter.Item) { answerAs(200)(w, r) }
			if r, err := s.check(t.Context(), nil); err != nil || r.Outcome != tt.outcome {
				t.Errorf("got %+v, %v; want %s", r, err, tt.outcome)
			}
			s.leavesNothing(map[string]fakeItem{})
		})
	}
}

func TestLiveProofTellsWhatIsLeft(t *testing.T) {
	s := startSite(t, 1)
	s.caches[0].says("delete", "SERVER_ERROR busy\r\n")
	r, err := s.check(t.Context(), nil)
	if err != nil || !r.hit() || len(r.Left) != 16 || !strings.Contains(r.Left[0], "busy") {
		t.Errorf("got %+v, %v; want a hit, and 16 entries left", r, err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	s.before = func(http.ResponseWriter, *http.Request) { stop(errors.New("enough")) }
	if _, err := s.check(ctx, nil); err == nil || !strings.Contains(err.Error(), "enough; left behind for 1m0s at most: ") {
		t.Errorf("got %v, want the cause and what is left", err)
	}
}

// The certificate is checked against the site's name, wherever nginx is.
func TestLiveProofOverTLS(t *testing.T) {
	s := startSite(t, 1)
	secure := httptest.NewUnstartedServer(s)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	s.key = func(r *http.Request) string { return "https://" + r.Host + r.RequestURI }
	trusting := func(p *liveProof) {
		p.roots = x509.NewCertPool()
		p.roots.AddCert(secure.Certificate())
	}
	for _, tt := range []struct {
		name     string
		prepared func(*liveProof)
		host     string
		outcome  outcome
	}{
		{"its name", trusting, "example.com", liveHit},
		{"another name", trusting, "www.example.org", offReach},
		{"an unknown issuer", nil, "example.com", offReach},
		{"any certificate", func(p *liveProof) { p.insecure = true }, "www.example.org", liveHit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := s.check(t.Context(), tt.prepared, "--via", secure.URL+"/", "--header", "Host: "+tt.host)
			if err != nil || r.Outcome != tt.outcome {
				t.Errorf("got %+v, %v; want %s", r, err, tt.outcome)
			}
			s.leavesNothing(map[string]fakeItem{})
		})
	}
}
