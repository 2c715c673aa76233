package integration

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"uwgate/demo/stack"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

// With `satisfy any` and srcache a hit needs no password. check says so, and with its fix
// nobody gets in without one.
func TestSatisfyAny(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string]string{
		"one": `satisfy any; auth_basic site; auth_basic_user_file FILE;`,
		"two": `satisfy any; deny all; auth_basic site; auth_basic_user_file FILE;`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secrets := filepath.Join(shortDir(t), "htpasswd")
			if err := os.WriteFile(secrets, []byte("ana:{PLAIN}s3cret\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			block := "    location / {"
			w := start(t, stack.Config{Format: "http", Edits: [][2]string{{block, block + "\n" + lines[:len(lines)-len("FILE;")] + secrets + ";"}}})
			key := "http://127.0.0.1/clock"
			w.put(key, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\ncached")
			if p := w.want(w.get("/clock"), 200); p.body != "cached" {
				t.Errorf("before the fix: got %q", p.body)
			}
			w.edit(w.fixOf("satisfy-any"))
			w.want(w.get("/clock"), 401)
			w.want(w.get("/clock", "Authorization: Basic YW5hOnMzY3JldA=="), 200)
		})
	}
}

// fixOf returns the fix of a finding about nginx's configuration.
func (w *world) fixOf(code parity.Code) parity.Fix {
	w.t.Helper()
	conf, err := nginxconf.Read(filepath.Join(w.Dir, "nginx.conf"), "")
	if err != nil {
		w.t.Fatal(err)
	}
	found := parity.Check(conf, parity.Gateway{})
	i := slices.IndexFunc(found, func(f parity.Finding) bool { return f.Code == code && f.Level == parity.Error })
	if i < 0 {
		w.t.Fatalf("no error %s in %v", code, found)
	}
	return found[i].Fix
}

// edit makes a fix in the file that it is about, and starts nginx again.
func (w *world) edit(fix parity.Fix) {
	w.t.Helper()
	file := fix.Edits[0].File
	text, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	edited, err := nginxconf.Edited(file, string(text), fix.Edits)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(edited), 0o644); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Nginx.Stop(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Nginx.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}
