package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a file with these contents, which only its owner may read.
func write(t *testing.T, name, contents string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each of these is allowed, and told.
func TestWarnings(t *testing.T) {
	for name, args := range map[string][]string{
		"--ttl 48h: pages are stored for 24h0m0s at most":                {"--ttl", "48h"},
		"--min-ttl 1h: pages without a lifetime":                         {"--min-ttl", "1h"},
		"--observe=true: uwgate decides and logs":                        {"--observe"},
		"--exclude /: every path begins":                                 {"--exclude", "/"},
		"--max-object 2M: memcached refuses":                             {"--max-object", "2M"},
		"--capture-memory 1k: pages that are larger":                     {"--capture-memory", "1k"},
		"--queue-bytes 1k: a page that is larger":                        {"--queue-bytes", "1k"},
		"--allow-peer 0.0.0.0/0: whoever reaches":                        {"--allow-peer", "0.0.0.0/0"},
		"--socket-mode 0666: every user":                                 {"--socket-mode", "0666", "--listen", "unix:/run/uwgate.sock"},
		"--admin-token: every user of the machine sees the command line": {"--admin-token", "0123456789abcdef"},
		"--purge-token: every user of the machine sees the command line": {"--purge-token", "0123456789abcdef"},
		"--bypass-arg: every user of the machine sees the command line":  {"--bypass-arg", "nocache=0123456789abcdef"},
	} {
		s, err := parse(t, args...).Read()
		if err != nil {
			t.Errorf("%q: %v", args, err)
			continue
		}
		found := s.Warnings()
		if len(found) != 1 || !strings.HasPrefix(found[0].Text, name) || found[0].Fix == "" {
			t.Errorf("%q: got %+v, want %s", args, found, name)
		}
		if strings.Contains(found[0].Text, "0123456789abcdef") {
			t.Errorf("%q: the secret is in %s", args, found[0].Text)
		}
	}
}

// Usual settings have no warning.
func TestNoWarnings(t *testing.T) {
	for _, args := range [][]string{
		nil, {"--ttl", "0s", "--min-ttl", "1h"}, {"--max-ttl", "5m"}, {"--socket-mode", "0666", "--allow-user", "root", "--listen", "unix:/run/a"},
		{"--allow-peer", "10.0.0.0/8"}, {"--socket-mode", "0666"}, {"--purge-token-file", write(t, "token", "0123456789abcdef\n")},
	} {
		s, err := parse(t, args...).Read()
		if err != nil || len(s.Warnings()) != 0 {
			t.Errorf("%q: %v, %+v", args, err, s.Warnings())
		}
	}
}

func TestUnreachableRules(t *testing.T) {
	for _, tt := range []struct {
		name, above, below string
		hidden             bool
	}{
		{"the same path", "path: /news/", "path: /news/", true},
		{"below a path", "path: /news/", "path: /news/old/", true},
		{"a glob below a path", "path: /news/", "glob: /news/*/print", true},
		{"above a path", "path: /news/old/", "path: /news/", false},
		{"another path", "path: /news/", "path: /blog/", false},
		{"one host of several", "{host: a.example, path: /}", "path: /news/", false},
		{"a host and all", "path: /news/", "{path: /news/, host: a.example}", true},
		{"hosts by a glob", `{host: "*.example", path: /}`, "{path: /news/, host: [a.example, b.example]}", true},
		{"a name and a value", "arg: lang", "arg: lang=de", true},
		{"a value and a name", "arg: lang=de", "arg: lang", false},
		{"only purges", "{path: /news/, methods: POST, purge: site}", "path: /news/", false},
		{"purges, too", "path: /news/", "{path: /news/, purge: site}", false},
		{"a type", "type: text/*", "type: text/html", true},
		{"types", "type: text/html", "path: /", false},
		{"a regex", `regex: "^/a"`, "path: /a", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "uwgate.yaml", "rules:\n  - "+effect(tt.above)+"\n  - "+effect(tt.below)+"\n")
			s, err := parse(t, "--config", path).Read()
			if err != nil {
				t.Fatal(err)
			}
			found := s.Warnings()
			if len(found) > 0 != tt.hidden {
				t.Fatalf("got %+v", found)
			}
			if tt.hidden && !strings.HasPrefix(found[0].Text, path+":3: rule is never used: the rule at "+path+":2 matches") {
				t.Errorf("got %s", found[0].Text)
			}
		})
	}
}

// effect is a rule of one line, with a lifetime unless it purges.
func effect(conditions string) string {
	conditions = strings.Trim(conditions, "{}")
	if !strings.Contains(conditions, "purge") {
		conditions += ", ttl: 1m"
	}
	return "{" + conditions + "}"
}

// All mistakes of a file are told together, and those of the environment and of the command
// line with them.
func TestAllMistakesAtOnce(t *testing.T) {
	t.Setenv("UWGATE_BACKND", "a:1")
	path := write(t, "uwgate.yaml", "ttl: soon\nbacknd: a:1\nmax-object: [1M, 2M]\nobserve: yes\nttl: 5m\nrules:\n  - path: news\npools: x\nhash:\n")
	_, err := parse(t, "--config", path, "--jitter", "60%").ReadParts(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), "--backend is missing") {
		t.Errorf("the file has pools, though wrong ones:\n%v", err)
	}
	for _, want := range []string{"UWGATE_BACKND", ":1: ttl", `:2: unknown key "backnd"`, ":3: max-object", ":4: observe", ":5: ttl is set a second time", ":7: rule", ":8: pools", ":9: hash", "--jitter"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in\n%v", want, err)
		}
	}
}

// Messages are for people who do not know how uwgate is built.
func TestNoPackageNames(t *testing.T) {
	for name, value := range badValues {
		_, err := parse(t, "--"+name+"="+value).ReadParts(t.Context())
		for line := range strings.Lines(err.Error()) {
			_, text, _ := strings.Cut(line, `": `)
			if packageName.MatchString(text) || packageName.MatchString(line) {
				t.Errorf("--%s: %s", name, line)
			}
		}
	}
}

// Values that people write and that are nearly right get a message of their own.
func TestNearlyRight(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"ttl", "600", "this has no unit: write 600s if you mean seconds"},
		{"memcached", "memcached://10.0.0.1:11211", "write the address alone, without memcached://, as in 10.0.0.1:11211"},
		{"backend", "uwsgi://127.0.0.1:3031/", "write the address alone, without uwsgi://, as in 127.0.0.1:3031"},
		{"admin", "http://127.0.0.1:9090", "without http://"},
		{"memcached", "unix:///run/memcached.sock weight=2", "write unix: and the path of the socket, as in unix:/run/memcached.sock weight=2"},
		{"observe", "yes", "write true or false"},
		{"memcached-timeout", "1ns", "write a time of 1ms or more"},
		{"first-byte-timeout", "10us", "write a time of 1ms or more"},
		{"queue-timeout", "1ns", "write a time of 1ms or more"},
		{"max-object", "0", "nothing would be stored"},
		{"queue-bytes", "0", "nothing would be stored"},
		{"hit-type", "foo", "write a Content-Type"},
	} {
		if _, err := parse(t, "--"+tt.name+"="+tt.value).Read(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("--%s %s: got %v, want %s", tt.name, tt.value, err, tt.want)
		}
	}
}

func TestNginxListen(t *testing.T) {
	for text, good := range map[string]bool{
		"80": true, "443 ssl": true, "[::]:80": true, "[::1]": true, "127.0.0.1:8080 default_server": true, "localhost:80": true, "*:80": true, "localhost": true,
		"443 ssl http2 reuseport backlog=511": true, "80 so_keepalive=on": true, "unix:/run/nginx.sock": true, "127.0.0.1": true, "www.example.com:80": true,
		"foo bar;": false, "80;": false, "": false, "80 foo": false, "foo": false, "a:b": false, "80 {": false,
	} {
		if err := checkNginxListen(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
