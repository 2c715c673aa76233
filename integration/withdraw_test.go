package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"uwgate/demo/stack"
)

// write sets the response of the application of testdata/time.
func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.Dir, "site", name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.t.Fatal(err)
	}
}

// A withdrawn page is not served when the backend is gone. The page beside it, which
// was not withdrawn, is. A page does not lose its copy because it had no visitors.
func TestOutageAfterAWithdrawal(t *testing.T) {
	t.Parallel()
	const short = "200 OK\nCache-Control: max-age=1, stale-if-error=3600\n\n"
	withdrawn := map[string]string{
		"notfound": "404 Not Found\n\ngone",
		"gone":     "410 Gone\n\ngone",
		"private":  "200 OK\nCache-Control: private\n\nmine",
		"nostore":  "200 OK\nCache-Control: no-store\n\nnow",
		"redirect": "302 Found\nLocation: /twin\n\nelsewhere",
		"login":    "403 Forbidden\n\nno",
	}
	w := start(t, stack.Config{Conf: "recommended", App: "testdata/time", Args: []string{"--queue-timeout", "1s"}})
	w.write("twin", short+"a page")
	w.write("cold", "200 OK\nCache-Control: max-age=4, stale-if-error=3600, stale-while-revalidate=5\n\na page")
	w.want(w.get("/twin"), 200)
	w.want(w.get("/cold"), 200)
	for name, answer := range withdrawn {
		w.write(name, short+"a page")
		w.want(w.get("/"+name), 200)
		w.write(name, answer)
	}
	for name := range withdrawn {
		w.eventually(name+" is withdrawn", func() bool { return w.get("/"+name).body != "a page" })
	}
	w.eventually("the pages have expired", func() bool { return !w.holds("/twin") && !w.holds("/cold") })
	w.settle()
	w.UWSGI.Kill()
	for name := range withdrawn {
		if p := w.get("/" + name); p.status < 500 {
			t.Errorf("%s in the outage: %d %q", name, p.status, p.body)
		}
	}
	for _, name := range []string{"twin", "cold"} {
		if p := w.get("/" + name); p.status != 200 || p.body != "a page" {
			t.Errorf("%s in the outage: %d %q, want its copy", name, p.status, p.body)
		}
	}
}

// holds reports whether memcached has a page of the recommended configuration. It does
// not count as a visit.
func (w *world) holds(path string) bool {
	w.t.Helper()
	return slices.Contains(w.keys(), "http://127.0.0.1"+path)
}

// A client sends a POST and leaves. The next visitor gets the changed page.
func TestPostOfWhoLeaves(t *testing.T) {
	t.Parallel()
	const long = "200 OK\nCache-Control: max-age=600\n\n"
	w := start(t, stack.Config{Conf: "recommended", App: "testdata/time", Args: []string{"--queue-timeout", "1s"}})
	for _, name := range []string{"page", "twin"} {
		w.write(name, long+"old")
		w.want(w.get("/"+name), 200)
		w.eventually("it is a hit", func() bool { return w.holds("/" + name) })
		w.write(name+".next", long+"new")
	}
	w.write("twin", long+"changed behind the cache")
	nc, err := net.Dial("tcp", w.Nginx.Addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(nc, "POST /page HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
	w.eventually("the worker has the request", func() bool {
		_, err := os.Stat(filepath.Join(w.Dir, "site", "page.begun"))
		return err == nil
	})
	nc.Close()
	w.eventually("the new page", func() bool { return w.get("/page").body == "new" })
	if p := w.get("/twin"); p.body != "old" {
		t.Errorf("the page beside it is no hit any more: %q", p.body)
	}
}
