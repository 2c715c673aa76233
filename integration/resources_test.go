package integration

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// With 64 descriptors, 60 slow requests at once are served, uploads that need a file too:
// what finds no descriptor waits.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	s := succeed(t, stack.Config{})
	path := filepath.Join(shortDir(t), "worker")
	scripted(t, path, func(nc net.Conn) {
		time.Sleep(50 * time.Millisecond) // what makes them many
		fmt.Fprint(nc, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello")
	})
	s.args[slices.Index(s.args, "--backend")+1] = "unix:" + path
	s.args = append([]string{"sh", "-c", `ulimit -n 64; exec "$@"`, "sh"}, s.args...)
	g := s.launch("gateway", nil, nil)
	s.said(g, "listening")
	body := strings.Repeat("x", 100<<10)
	var visitors sync.WaitGroup
	for i := range 60 {
		visitors.Go(func() {
			v, b := vars("GET", fmt.Sprintf("/slow/%d", i)), ""
			if i%3 == 0 {
				v, b = vars("POST", "/slow"), body
				v = slices.DeleteFunc(v, func(x uwsgi.Var) bool { return x.Name == "CONTENT_LENGTH" })
				v = append(v, uwsgi.Var{Name: "CONTENT_LENGTH", Value: fmt.Sprint(len(b))})
			}
			if p := s.ask(s.Uwgate.Addr, v, b); p.err != nil || p.status != 200 || p.body != "hello" {
				t.Errorf("request %d: got %d %q, %v", i, p.status, p.body, p.err)
			}
		})
	}
	visitors.Wait()
	g.Process.Signal(syscall.SIGTERM)
	s.ends(g)
}

// The reader of the log goes, as in `uwgate serve 2>&1 | head -1`. uwgate serves on.
func TestLogReaderGoes(t *testing.T) {
	t.Parallel()
	s := succeed(t, stack.Config{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = stack.UwgateEnv(), w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	r.Close()
	s.eventually("uwgate serves", func() bool { return s.ask(s.Uwgate.Addr, vars("GET", "/visit?a"), "").status == 200 })
	for range 10 {
		s.want(s.ask(s.Uwgate.Addr, vars("GET", "/visit?b"), ""), 200)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("uwgate ended with %v", err)
	}
}
