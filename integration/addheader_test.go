package integration

import (
	"regexp"
	"testing"

	"uwgate/demo/stack"
)

// Who follows the hint about a header that hits lack gets it once in all responses: in hits,
// in misses, and in what the application sends to logged-in users.
func TestHintAboutHeader(t *testing.T) {
	t.Parallel()
	const path, name = "/head/policy", "Permissions-Policy"
	a := startApp(t, stack.Config{})
	a.visit("GET", path, "Host: shop.example")
	log := a.Uwgate.Log()
	fix := regexp.MustCompile(`nginx's http block: (map \$upstream_http_permissions_policy .*? \}); beside memcached_pass: (add_header .*?;) then start with --nginx-adds`).FindStringSubmatch(unescaped(log))
	if fix == nil {
		t.Fatalf("no hint in\n%s", log)
	}
	b := startApp(t, stack.Config{Edits: [][2]string{{"\nserver {", "\n" + fix[1] + "\nserver {"}, {"set $memcached_key", fix[2] + "\n        set $memcached_key"}}})
	for _, tt := range []struct{ what, method, lines string }{
		{"a miss", "GET", "Host: shop.example"},
		{"a hit", "GET", "Host: shop.example"},
		{"a logged-in user's page", "GET", "Host: shop.example\nCookie: sessionid=a"},
		{"the response to a POST", "POST", "Host: shop.example\nContent-Length: 0"},
	} {
		got := b.visit(tt.method, path, tt.lines)
		if values := got.header.Values(name); len(values) != 1 || values[0] != "camera=()" {
			t.Errorf("%s has %s %q", tt.what, name, values)
		}
		if isHit := len(got.logged) == 0; isHit != (tt.what == "a hit") {
			t.Errorf("%s: the access log has %d lines", tt.what, len(got.logged))
		}
	}
}

// unescaped takes the backslashes out of a text in JSON.
func unescaped(text string) string {
	return regexp.MustCompile(`\\(["\\])`).ReplaceAllString(text, "$1")
}
