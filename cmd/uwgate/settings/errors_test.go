package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// badValues has a value for each setting that cannot be used.
var badValues = map[string]string{
	"listen": "nonsense", "socket-mode": "rw", "allow-peer": "10.0.0.0/33", "allow-user": "nobody of that name", "half-close": "maybe", "max-connections": "-1", "replace": "maybe",
	"tls-cert": "/no/such/file", "tls-key": "/no/such/file", "tls-client-ca": "/no/such/file",

	"backend": "app.sock", "choice": "best", "connect-timeout": "0s", "queue-length": "-1", "queue-timeout": "soon", "slow-start": "-1s", "buffer-size": "65537",
	"max-vars": "many", "modifier1": "256", "modifier2": "x", "allow-var": "HTTP_X", "set-var": "A", "probe": "pong", "probe-interval": "0", "probe-timeout": "5",
	"resolve-interval": "-1s", "host-map": "/no/such/file", "trust-router-key": "maybe", "ask-to-close": "maybe", "trust-forwarded-proto": "maybe",

	"subscribe": "127.0.0.1", "subscribe-from": "lan", "subscribe-key": "[a", "subscribe-modifier": "256", "subscribe-sign": "MD5:/", "subscribe-tolerance": "0s",
	"subscribe-max-keys": "0", "subscribe-max-nodes": "-1", "subscribe-rate": "1000001", "subscribe-allow-unix": "maybe",

	"memcached": "a:b", "hash": "ketama", "key": "same for all", "generation": "a:b", "nginx": "/no/such/file", "nginx-version": "1.22",
	"identity-cookie": "a;b", "token-cookie": "a;b", "harmless-cookie": "a;b", "identity-header": "X Y", "harmless-header": "X Y", "harmless-var": "X Y",

	"ttl": "soon", "min-ttl": "1ms", "max-ttl": "0s", "jitter": "60%", "grace": "-5s", "stale-if-error": "1", "refresh-ahead": "maybe", "refresh-concurrency": "0",

	"exclude": "admin", "sentinel": "", "allowed-host": "https://example.com", "allow-rewrites": "maybe", "opaque-key": "maybe", "trusted-header": "X: y",
	"vary-cookie": "yes", "format": "xml", "gzip-flag": "3", "hit-type": "text/", "mime-types": "/no/such/file", "nginx-adds": "X-Frame-Options",
	"strict-headers": "maybe", "accept-unframed": "xml", "max-object": "1X", "bypass-arg": "nocache", "bypass-arg-file": "/no/such/file", "observe": "maybe", "align-headers": "maybe", "strip-tags": "maybe",

	"fleet": "maybe", "coalesce-wait": "-1s", "coalesce-followers": "0", "first-byte-timeout": "0s", "idle-timeout": "0s", "send-timeout": "-1s", "total-timeout": "-1s",
	"drain-timeout": "long", "max-request-body": "much", "stream-uploads": "maybe", "spool-memory": "1.5M", "spool-disk": "-1", "capture-memory": "lots", "queue-bytes": "x", "queue-entries": "0",
	"memcached-connect-timeout": "0s", "memcached-timeout": "0s",

	"purge-from": "lan", "purge-token": "short", "purge-token-file": "/no/such/file", "purge-default": "all", "purge-rate": "fast", "purge-soft-limit": "0s",

	"admin": "nonsense", "admin-token": "short", "admin-token-file": "/no/such/file", "stats": "nonsense", "hits-listen": "nonsense", "log": "syslog", "log-level": "loud", "log-query": "maybe", "config": "/no/such/file",
}

// anyValue are the settings of which any text is a value: serve finds out whether it can
// write there.
var anyValue = map[string]bool{"spool-dir": true, "subscribe-state": true}

// A bad value is an error with the setting as it is written at its origin, the value, and an
// example in the same form, whatever the origin.
func TestBadValues(t *testing.T) {
	for _, r := range allRows() {
		value, listed := badValues[r.name]
		if !listed {
			if !anyValue[r.name] {
				t.Errorf("%s has no bad value in this test", r.name)
			}
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			t.Run("command line", func(t *testing.T) {
				checkRefusal(t, &r, value, "--"+r.name, exampleOn("--", r), []string{"--" + r.name + "=" + value}, "")
			})
			t.Run("environment", func(t *testing.T) {
				t.Setenv(envName(r.name), value)
				checkRefusal(t, &r, value, envName(r.name), envName(r.name)+"=", nil, "")
			})
			if r.name == "config" {
				return
			}
			t.Run("file", func(t *testing.T) {
				checkRefusal(t, &r, value, ":3: "+r.name, r.name+": ", nil, fmt.Sprintf("# a comment\n\n%s: %q\n", r.name, value))
			})
		})
	}
}

func exampleOn(dashes string, r row) string {
	if r.toggle {
		return dashes + r.name + "="
	}
	return dashes + r.name + " "
}

// checkRefusal reads the settings of serve and wants an error for one of them.
func checkRefusal(t *testing.T, r *row, value, name, example string, args []string, file string) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "uwgate.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if r.name == "allow-user" {
		args = append(args, "--listen", "unix:/run/uwgate.sock")
	}
	_, err := parse(t, args...).ReadParts(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	if r.name == "config" || r.name == "nginx" { // what is wrong is in the file, and has its own place
		if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), value) {
			t.Errorf("got %v, want %s and %s", err, name, value)
		}
		return
	}
	want := name
	if !r.secret {
		want += fmt.Sprintf(" %q", value)
	}
	for line := range strings.Lines(err.Error()) {
		_, advice, found := strings.Cut(line, want+": ")
		if !found {
			continue
		}
		if _, shown, ok := strings.Cut(advice, "; for example "); !ok || !strings.HasPrefix(shown, example) {
			t.Errorf("got %s, want an example that begins with %s", line, example)
		}
		if r.secret && strings.Contains(line, value+" ") {
			t.Errorf("the secret is in %s", line)
		}
		return
	}
	t.Errorf("got %v, want %s", err, want)
}

// The example and the default of each setting are values of it.
func TestExamplesAreValues(t *testing.T) {
	for _, r := range allRows() {
		if r.example == "" {
			t.Errorf("%s has no example", r.name)
		}
		for _, text := range append([]string{r.example}, r.defaults...) {
			if err := r.take(&Settings{}, text); err != nil {
				t.Errorf("%s %q: %v", r.name, text, err)
			}
		}
	}
}

// An Error has setting, origin and value.
func TestErrorType(t *testing.T) {
	t.Setenv("UWGATE_TTL", "soon")
	_, err := parse(t).Read()
	var e *Error
	if !errors.As(err, &e) || e.Setting != "ttl" || e.Value != "soon" || e.Origin.String() != "the environment" {
		t.Errorf("got %+v", e)
	}
}

// Settings that contradict each other are named with their origins.
func TestContradictions(t *testing.T) {
	t.Setenv("UWGATE_MAX_TTL", "1m")
	_, err := parse(t, "--min-ttl", "5m").ReadParts(t.Context())
	if want := "--min-ttl 5m: this is over UWGATE_MAX_TTL=1m: lower one"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The bits with which uwgate marks all its pages would make nginx take each for compressed.
func TestGzipFlagOfUwgate(t *testing.T) {
	for _, bit := range []string{"134217728", "0x10000000", "536870912"} {
		_, err := parse(t, "--gzip-flag", bit).Read()
		if err == nil || !strings.Contains(err.Error(), "uwgate marks all its pages with this bit") {
			t.Errorf("%s: got %v", bit, err)
		}
	}
	if s, err := parse(t, "--gzip-flag", "1073741824").Read(); err != nil || s.Hits.GzipFlag != 1<<30 {
		t.Errorf("got %v", err)
	}
}
