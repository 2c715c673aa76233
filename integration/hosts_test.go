package integration

import (
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// tries runs rows of leaks and of replays.
func (a *app) tries(t *testing.T, leaks []leak, replays []replay) {
	t.Helper()
	for _, l := range leaks {
		t.Run(l.name, func(t *testing.T) { a.in(t).holds(l) })
	}
	for _, r := range replays {
		t.Run(r.name, func(t *testing.T) { a.in(t).replays(r) })
	}
}

// The recipe's key does not contain the host. --allowed-host ensures that a page for
// another host is not served to all.
func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{Conf: "recipe", Args: []string{"--allowed-host", "shop.example"}})
	a.tries(t, []leak{
		{name: "another host", target: "/link?1",
			first: "Host: evil.example", shows: "//evil.example/login", reason: "host",
			next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "the page links to the attacker"},
		{name: "a host that begins alike", target: "/link?2",
			first: "Host: shop.example.evil.example", shows: "//shop.example.evil.example/login", reason: "host",
			next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "the same"},
		{name: "a host that ends alike", target: "/link?3",
			first: "Host: evilshop.example", shows: "//evilshop.example/login", reason: "host",
			next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "a host is a whole name"},
		{name: "a host below", target: "/link?8",
			first: "Host: a.b.shop.example", shows: "//a.b.shop.example/login", reason: "host",
			next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "its pages would be the other's"},
		{name: "in capitals", target: "/link?7",
			first: "Host: SHOP.example", shows: "//SHOP.example/login", reason: "host",
			next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "the page shows what the client has sent"},
		{name: "an address", target: "/link?4",
			first: "Host: 192.0.2.1", shows: "//192.0.2.1/login", reason: "host",
			next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "scanners ask by address"},
		{name: "absolute form", target: "http://shop.example/link?5",
			first: "Host: evil.example", shows: "//evil.example/login", reason: "host",
			at: "/link?5", next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "nginx hands the Host line over, whatever the target says"},
	}, []replay{
		{name: "allowed", target: "/link?6", first: "Host: shop.example", second: "Host: shop.example", shows: "//shop.example/login"},
	})
}

// stockParams removes the HTTP_HOST of the printed configuration. nginx then sends the
// Host line, even if the request target names another host.
var stockParams = [][2]string{{"uwsgi_param HTTP_HOST ", "# uwsgi_param HTTP_HOST "}}

// The host in the key must be the host of the page.
func TestAbsoluteForm(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{Edits: stockParams})
	a.tries(t, []leak{
		{name: "another Host line", target: "http://victim.example/link",
			first: "Host: attacker.example", shows: "//attacker.example/login", reason: "host",
			at: "/link", next: "Host: victim.example", wants: "//victim.example/login", then: "default-ttl",
			why: "nginx looks the target's host up, and the application answers for the other"},
		{name: "the Host line's host in the URL", target: "http://victim.example/link?from=attacker.example",
			first: "Host: attacker.example", shows: "//attacker.example/login", reason: "host",
			at: "/link?from=attacker.example", next: "Host: victim.example", wants: "//victim.example/login", then: "default-ttl",
			why: "the URL's own part of the key proves nothing"},
		{name: "an address", target: "http://192.0.2.1/link",
			first: "Host: attacker.example", shows: "//attacker.example/login", reason: "host",
			at: "/link", next: "Host: 192.0.2.1", wants: "//192.0.2.1/login", then: "default-ttl",
			why: "an address is a host as well"},
		{name: "the same host in capitals", target: "http://shop.example/link?capitals",
			first: "Host: Shop.Example", shows: "//Shop.Example/login", reason: "host",
			at: "/link?capitals", next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "the page shows what the client has sent"},
		{name: "a trailing dot", target: "/link?dot",
			first: "Host: shop.example.", shows: "//shop.example./login", reason: "host",
			next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "the same"},
		{name: "words for a port", target: "/link?words",
			first: "Host: shop.example:@evil.example", shows: "//shop.example:@evil.example/login", reason: "host",
			next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "browsers go to evil.example"},
		{name: "a made-up port", target: "/link?port",
			first: "Host: shop.example:81", shows: "//shop.example:81/login", reason: "host",
			next: "Host: shop.example", wants: "//shop.example/login", then: "default-ttl",
			why: "the links lead nowhere"},
	}, []replay{
		{name: "the same host", target: "http://shop.example/link", first: "Host: shop.example", shows: "//shop.example/login",
			at: "/link", second: "Host: shop.example"},
		{name: "origin form", target: "/link?origin", first: "Host: shop.example", shows: "//shop.example/login", second: "Host: shop.example"},
		{name: "a host in the URL", target: "/link?to=other.example", first: "Host: shop.example", shows: "//shop.example/login", second: "Host: shop.example"},
	})
}

// Under a key without the host, only pages of the hosts of --allowed-host are stored,
// and none without that flag.
func TestKeysWithoutHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, key string }{
		{"server_name", "$scheme://$server_name$request_uri"},
		{"none", ":1:$request_uri"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			evil := leak{target: "/link?1", first: "Host: evil.test", shows: "//evil.test/login", reason: "host", next: "Host: shop.test", wants: "//shop.test/login"}
			a := startApp(t, stack.Config{Args: []string{"--key", tt.key}})
			evil.name, evil.why = "no host is allowed", "nobody has said whose pages these are"
			a.tries(t, []leak{evil}, nil)
			if log := a.Uwgate.Log(); !strings.Contains(log, "that a client makes up") {
				t.Errorf("the log does not say why:\n%s", log)
			}
			a = startApp(t, stack.Config{Args: []string{"--key", tt.key, "--allowed-host", "shop.test"}})
			evil.name, evil.why, evil.then = "one is", "its pages would be the other's", "default-ttl"
			a.tries(t, []leak{evil}, []replay{{name: "its page", target: "/link?2", first: "Host: shop.test", second: "Host: shop.test", shows: "//shop.test/login"}})
		})
	}
}

// X-Accel-Redirect replaces a page by another one for this visitor. nginx then asks
// memcached and the application again under the key of the first URL, and its status is
// 404 twice. The page is not stored.
func TestAccelRedirectIsNotStored(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{Edits: [][2]string{{"include uwsgi_params;", "recursive_error_pages on; include uwsgi_params;"}}})
	a.tries(t, []leak{
		{name: "page in the place of another", target: "/broken/accel-redirect",
			first: "X-Break: yes", shows: "Asked with", reason: "not-looked-up",
			wants: "This is whole.", then: "default-ttl",
			why: "the next visitor is to have the application's word"},
	}, nil)
}

// With --vary-cookie anonymous, pages of strangers are stored although they vary by
// Cookie, because the recommended configuration does not look up pages for logged-in
// users.
func TestVaryCookieAnonymous(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{Args: []string{"--vary-cookie", "anonymous"}})
	a.tries(t, []leak{
		{name: "member", target: "/theme/told",
			first: "Cookie: sessionid=ana", shows: "Hello, ana;", reason: "identity-cookie",
			next: "Cookie: _ga=GA1.2.3", wants: "Hello, stranger; the theme is light.", then: "default-ttl",
			why: "the page is a member's"},
		{name: "unknown cookie", target: "/theme/told?2",
			first: "Cookie: theme=dark", shows: "the theme is dark.", reason: "vary",
			wants: "Hello, stranger; the theme is light.", then: "default-ttl",
			why: "the page says that it depends on it"},
		{name: "unknown cookie, explicit freshness", target: "/vary/cookie/fresh",
			first: "Cookie: theme=dark", shows: "This is", reason: "vary",
			next: "Cookie: _ga=GA1.2.3", wants: "This is", then: "s-maxage",
			why: "no lifetime overrules it"},
		{name: "Vary by more", target: "/agent",
			first: "User-Agent: curl", shows: "curl", reason: "vary", next: "User-Agent: lynx", wants: "lynx",
			why: "the flag is about cookies"},
	}, []replay{
		{name: "no cookies", target: "/vary/cookie", shows: "This is"},
		{name: "analytics cookies", target: "/vary/cookie?2", first: "Cookie: _ga=GA1.2.3; _gid=1", shows: "This is"},
	})
	t.Run("members after strangers", func(t *testing.T) {
		a := a.in(t)
		for _, name := range []string{"bob", "eve"} {
			v := a.visit("GET", "/theme/told", "Cookie: sessionid="+name)
			if !strings.Contains(v.body, "Hello, "+name+";") || v.written != 0 {
				t.Errorf("%s got %.300q, %d stored", name, v.body, v.written)
			}
		}
	})
}
