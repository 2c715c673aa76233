package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The patch has the whole path of a file that was named by a relative one, for `patch -d /`.
func TestPatchOfRelativePath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	text := "events {}\nhttp { upstream m { server 127.0.0.1:11211; } server { listen 80; location / { set $memcached_key $host$request_uri; memcached_pass m; } } }\n"
	if err := os.WriteFile("nginx.conf", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_ = newApp(strings.NewReader(""), &out, &out).Run([]string{"uwgate", "check", "--nginx", "nginx.conf", "--diff"}) // which finds errors
	whole, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := "--- a" + whole + "/nginx.conf"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in\n%s", want, out.String())
	}
}
