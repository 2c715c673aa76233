package settings

import (
	"strings"
	"testing"
)

// A name that begins as a setting's, and is none, is an error that says which was meant.
// Tests and containers have names of their own.
func TestUnknownEnvironment(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"UWGATE_MEMCACHE", "UWGATE_MEMCACHE in the environment is no setting; did you mean UWGATE_MEMCACHED?"},
		{"UWGATE_TRUST_FORWARD_PROTO", "did you mean UWGATE_TRUST_FORWARDED_PROTO?"},
		{"UWGATE_", "UWGATE_ in the environment"},
		{"UWGATE_REPORT", "UWGATE_REPORT in the environment"},
		{"UWGATE_ttl", "UWGATE_ttl in the environment is no setting; did you mean UWGATE_TTL?"},
		{"UWGATE_TTL", ""}, {"uwgate_x", ""}, {"UWGATES", ""},
		{"UWGATE_TEST_STACK", ""},
		{"UWGATE_SERVICE_HOST", ""}, {"UWGATE_SERVICE_PORT", ""}, {"UWGATE_SERVICE_PORT_METRICS", ""},
		{"UWGATE_PORT", ""}, {"UWGATE_PORT_3030_TCP", ""}, {"UWGATE_ADMIN_PORT_9090_TCP_ADDR", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(tt.name, "5m")
			_, err := parse(t).Read()
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// A memcached server without a port would have port 80 for nginx, and another for uwgate.
func TestMemcachedWithoutPort(t *testing.T) {
	for address, want := range map[string]string{
		"localhost": "write localhost:11211", "[::1] weight=2": "write [::1]:11211", "10.0.0.1 down": "write 10.0.0.1:11211",
		"[::1]:11211": "", "unix:/run/memcached.sock": "", "@memcached": "", "UNIX:/a": "", "localhost:11211 weight=2": "",
	} {
		_, err := parse(t, "--memcached", address).Read()
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", address, err, want)
		}
	}
}
