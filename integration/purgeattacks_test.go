package integration

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// A purgeAttack is a request that purges nothing, or only pages of the attacker's own site.
type purgeAttack struct {
	name, request string // CRLF ends each line; TOKEN stands for the token
	status        string // statuses, a space between them
	logged        bool   // as a refusal
}

const attackHost = "\nHost: " + wwwSite

// strangersAttacks are of somebody who may not purge.
var strangersAttacks = []purgeAttack{
	{"no token", "PURGE /news/ HTTP/1.1" + attackHost, "403", true},
	{"a tag", "PURGE / HTTP/1.1" + attackHost + "\nSurrogate-Key: a", "403", true},
	{"forged addresses", "PURGE /news/ HTTP/1.1" + attackHost + "\nX-Forwarded-For: 10.0.0.1\nX-Real-IP: 10.0.0.1\nForwarded: for=10.0.0.1\nRemote-Addr: 10.0.0.1\nTrue-Client-IP: 10.0.0.1", "403", true},
	{"a forged address, written with _", "PURGE /news/ HTTP/1.1" + attackHost + "\nREMOTE_ADDR: 10.0.0.1\nX_Purge_Token: TOKEN", "403", true},
	{"absolute form", "PURGE http://" + wwwSite + "/news/ HTTP/1.1" + attackHost, "403", true},
	{"absolute form of an allowed address", "PURGE http://10.0.0.1/news/ HTTP/1.1\nHost: 10.0.0.1", "403", true},
	{"another token", "PURGE /news/ HTTP/1.1" + attackHost + "\nX-Purge-Token: TOKENx", "403", true},
	{"the token in other letters", "PURGE /news/ HTTP/1.1" + attackHost + "\nX-Purge-Token: tOKEN" + strings.ToUpper(purgeToken), "403", true},
	{"the token in the URL", "PURGE /news/?X-Purge-Token=TOKEN HTTP/1.1" + attackHost, "403", true},
	{"the token in a cookie", "PURGE /news/ HTTP/1.1" + attackHost + "\nCookie: X-Purge-Token=TOKEN", "403", true},
	{"the token as a password", "PURGE /news/ HTTP/1.1" + attackHost + "\nAuthorization: Basic TOKEN", "403", true},
	{"a NUL after the token", "PURGE /news/ HTTP/1.1" + attackHost + "\nX-Purge-Token: TOKEN\x00", "400 403", false},
	{"a folded line", "PURGE /news/ HTTP/1.1" + attackHost + "\nX-A: b\n X-Purge-Token: TOKEN", "400 403", false},
	{"a line that a bare CR ends", "PURGE /news/ HTTP/1.1" + attackHost + "\nX-A: b\rX-Purge-Token: TOKEN", "400 403", false},
	{"another method by a header", "GET /news/?x HTTP/1.1" + attackHost + "\nX-HTTP-Method-Override: PURGE", "200", false},
	{"another letter case of the method", "purge /news/ HTTP/1.1" + attackHost, "400 403 405 200", false},
	{"a token in a GET", "GET /news/?y HTTP/1.1" + attackHost + "\nX-Purge-Token: TOKEN\nX-Purge-Scope: prefix", "200", false},
}

// guestsAttacks are of somebody who may purge, and wants what nobody may, or what is malformed.
var guestsAttacks = []purgeAttack{
	{"all", "PURGE / HTTP/1.1" + attackHost + "\nX-Purge-Scope: all", "400", false},
	{"all, in a field", "PURGE / HTTP/1.1" + attackHost + "\nX-Purge-All: 1", "400", false},
	{"all, by a star", "PURGE * HTTP/1.1" + attackHost, "400", false},
	{"a star as a site", "PURGE / HTTP/1.1\nHost: *\nX-Purge-Scope: prefix", "400 200", false},
	{"a foreign site", "PURGE /news/ HTTP/1.1\nHost: evil.example", "200", false},
	{"a foreign site, all of it", "PURGE / HTTP/1.1\nHost: evil.example\nX-Purge-Scope: prefix", "200", false},
	{"absolute form of a foreign site", "PURGE http://evil.example/news/ HTTP/1.1" + attackHost, "200", false},
	{"a site that ours ends with", "PURGE / HTTP/1.1\nHost: example.com\nX-Purge-Scope: prefix", "200", false},
	{"no host", "PURGE /news/ HTTP/1.0", "200 400", false},
	{"a tag with DEL", "PURGE / HTTP/1.1" + attackHost + "\nSurrogate-Key: a\x7f", "200 400", false},
	{"a tag as an expression", "PURGE / HTTP/1.1" + attackHost + "\nCache-Tag: .+", "200", false},
	{"a tag that goes on", "PURGE / HTTP/1.1" + attackHost + "\nCache-Tag: a\xa0b", "200 400", false},
	{"a long tag", "PURGE / HTTP/1.1" + attackHost + "\nSurrogate-Key: " + strings.Repeat("a", 7000), "200 400", false},
	{"a longer tag", "PURGE / HTTP/1.1" + attackHost + "\nSurrogate-Key: " + strings.Repeat("a", 70000), "400", false},
	{"a long URL", "PURGE /" + strings.Repeat("a", 7000) + " HTTP/1.1" + attackHost, "200", false},
	{"a longer URL", "PURGE /" + strings.Repeat("a", 70000) + " HTTP/1.1" + attackHost, "414 400", false},
	{"a space in the URL", "PURGE /news/ x HTTP/1.1" + attackHost, "400", false},
	{"a NUL in the URL", "PURGE /news/\x00 HTTP/1.1" + attackHost, "400", false},
	{"an escaped line", "PURGE /%0d%0aget%20/news/ HTTP/1.1" + attackHost, "200", false},
	{"a method that is none", "PURGE /news/ HTTP/1.1" + attackHost + "\nX-Purge-Method: hard soft", "400", false},
	{"a scope with more", "PURGE /news/ HTTP/1.1" + attackHost + "\nX-Purge-Scope: exact\x7f", "400", false},
	{"two scopes", "PURGE /news/never HTTP/1.1" + attackHost + "\nX-Purge-Scope: exact\nX-Purge-Scope: all", "400", false},
	{"a BAN", "BAN .* HTTP/1.1" + attackHost, "400 501", false},
	{"a POST whose Location is of another site", "POST /elsewhere HTTP/1.1\nHost: evil.example\nContent-Length: 0\nX-Field: Location: http://" + wwwSite + "/news/", "200", false},
	{"a POST whose Content-Location is of another site", "POST /elsewhere HTTP/1.1\nHost: evil.example\nContent-Length: 0\nX-Field: Content-Location: //" + wwwSite + "/news/", "200", false},
	{"a POST with groups of another site", "POST /elsewhere HTTP/1.1\nHost: evil.example\nContent-Length: 0\nX-Field: Cache-Group-Invalidation: \"a\", \"ab\"", "200", false},
	{"a POST with tags", "POST /elsewhere HTTP/1.1\nHost: evil.example\nContent-Length: 0\nX-Purge-Scope: prefix\nSurrogate-Key: a", "200", false},
	{"a GET with groups", "GET /news/?z HTTP/1.1" + attackHost + "\nCache-Group-Invalidation: \"a\"", "200", false},
}

// What nobody may purge stays, and so do keys of somebody else. A client that may not purge is
// refused and logged.
func TestPurgeAttacks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		from    string
		attacks []purgeAttack
	}{{"strangers", "10.0.0.0/8", strangersAttacks}, {"guests", "127.0.0.0/8", guestsAttacks}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &purgeBench{startFleetOf(t, stack.Config{App: "testdata/purge", Workers: 12,
				Args: slices.Concat([]string{"--purge-from", tt.from, "--purge-token", purgeToken, "--admin-token", adminToken}, unhurried)})}
			b.fillAll("content", false)
			b.talk(b.Memcached[0].Addr, "set http://"+wwwSite+"/news/foreign 0 0 3\r\nown\r\n", "STORED")
			for _, attack := range tt.attacks {
				t.Run(attack.name, func(t *testing.T) {
					b := b.in(t)
					refused := strings.Count(b.accessLogs(), "a purge was refused")
					request := strings.ReplaceAll(strings.ReplaceAll(attack.request, "TOKEN", purgeToken), "\n", "\r\n") + "\r\nConnection: close\r\n\r\n"
					method, _, _ := strings.Cut(request, " ")
					if p := b.exchange(method, request); !slices.Contains(strings.Fields(attack.status), statusOf(p)) {
						t.Errorf("got %d %.200q, %v; want %s", p.status, p.body, p.err, attack.status)
					}
					b.settle()
					if n := strings.Count(b.accessLogs(), "a purge was refused") - refused; attack.logged && n != 1 {
						t.Errorf("%d refusals are logged, want 1", n)
					}
					for _, p := range purgePages {
						if !b.holds("http://" + strings.ReplaceAll(p.String(), "%", "%25")) {
							t.Errorf("%v is gone", p)
						}
					}
					if !b.holds("http://" + wwwSite + "/news/foreign") {
						t.Error("a key of somebody else's is gone")
					}
				})
			}
			if logs := b.accessLogs() + b.Uwgate.Log() + b.second.Log(); strings.Contains(logs, purgeToken) && tt.name == "guests" {
				t.Error("the token is logged")
			}
		})
	}
}

func statusOf(p page) string { return strconv.Itoa(p.status) }
