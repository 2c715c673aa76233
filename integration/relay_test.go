package integration

import (
	"strconv"
	"testing"

	"uwgate/demo/stack"
)

// startRelay runs the application of testdata/relay.
func startRelay(t *testing.T, cfg stack.Config) *app {
	t.Helper()
	cfg.App = "testdata/relay"
	w := start(t, cfg)
	return &app{w, w.AccessReader()}
}

// Who asks for a part, or under a condition, gets what the application makes of
// that, and the page comes into memcached by those who ask for all of it.
func TestRangesAndPreconditions(t *testing.T) {
	a := startRelay(t, stack.Config{})
	for i, tt := range []struct {
		lines  string
		status int
		body   string
		reason string
	}{
		{"Range: bytes=0-1", 206, "01", "range"},
		{"Range: bytes=8-", 206, "89", "range"},
		{"Range: bytes=10-", 416, "", "range"},
		{"Range: bytes=0-1\nIf-Range: \"v1\"", 206, "01", "range"},
		{"Range: bytes=0-1\nIf-Range: \"v0\"", 200, "0123456789", "range"},
		{"Range: bytes=0-1\nIf-None-Match: \"v0\"", 206, "01", "range"},
		{"If-Range: \"v1\"", 200, "0123456789", "range"},
		{"If-Match: \"nope\"", 412, "", "precondition"},
		{"If-Match: \"v1\"", 200, "0123456789", "precondition"},
		{"If-Match: *", 200, "0123456789", "precondition"},
		{"If-Match: \"v1\"\nRange: bytes=4-5", 206, "45", "range"},
		{"If-Unmodified-Since: Fri, 31 Dec 2021 23:59:59 GMT", 412, "", "precondition"},
		{"If-Unmodified-Since: Sat, 01 Jan 2022 00:00:00 GMT", 200, "0123456789", "precondition"},
	} {
		v := a.visit("GET", "/part?"+strconv.Itoa(i), tt.lines)
		if v.status != tt.status || v.body != tt.body || v.reason() != tt.reason || v.written != 0 {
			t.Errorf("%q: got %d %q, %s, stored %d; want %d %q, %s, nothing stored", tt.lines, v.status, v.body, v.reason(), v.written, tt.status, tt.body, tt.reason)
		}
	}
	if v := a.visit("GET", "/part", ""); v.status != 200 || v.body != "0123456789" || v.reason() != "default-ttl" || v.written != 1 {
		t.Errorf("the whole page: got %d %q, %s, stored %d", v.status, v.body, v.reason(), v.written)
	}
	if v := a.visit("GET", "/part", ""); v.reason() != "hit" || v.body != "0123456789" {
		t.Errorf("the second visitor: got %d %q, %s", v.status, v.body, v.reason())
	}
	if v := a.visit("GET", "/part?changed", `If-None-Match: "v1"`); v.status != 304 || v.written != 1 {
		t.Errorf("who has the page: got %d, stored %d; want 304, and the page stored", v.status, v.written)
	}
}
