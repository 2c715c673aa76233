package integration

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// uwgate gets TERM while a thousand requests are in flight. It completes all of them
// and stores all pages.
func TestTermLosesNothing(t *testing.T) {
	const n = 1000
	body := strings.Repeat("x", 20_000)
	worker := newSlowWorker(t, n, body)
	w := start(t, stack.Config{Backend: worker.addr})
	var visitors sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		visitors.Go(func() {
			if p := w.miss(fmt.Sprintf("/%d", i)); p.err != nil || p.body != body {
				errs <- fmt.Errorf("request %d: %d, %d bytes, %v", i, p.status, len(p.body), p.err)
			}
		})
	}
	worker.wait(t)
	stopped := make(chan error, 1)
	go func() { stopped <- w.Uwgate.Stop(t.Context()) }()
	w.eventually("socket closed", func() bool {
		nc, err := net.Dial("unix", strings.TrimPrefix(w.Uwgate.Addr, "unix:"))
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	close(worker.goOn)
	visitors.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("uwgate did not end well: %v", err)
	}
	if got := w.items(); got != n {
		t.Errorf("%d pages in memcached, want %d", got, n)
	}
	for _, i := range []int{0, n / 2, n - 1} {
		lines := w.talk(w.Memcached[0].Addr, fmt.Sprintf("get http://localhost/%d\r\n", i), "END")
		if len(lines) != 2 || lines[1] != body {
			t.Errorf("page %d is stored as %d lines", i, len(lines))
		}
	}
}

// A slowWorker accepts n requests before it responds to any of them.
type slowWorker struct {
	addr    string
	started sync.WaitGroup
	goOn    chan struct{}
}

func newSlowWorker(t *testing.T, n int, body string) *slowWorker {
	t.Helper()
	path := filepath.Join(t.TempDir(), "worker.sock")
	s := &slowWorker{addr: "unix:" + path, goOn: make(chan struct{})}
	s.started.Add(n)
	scripted(t, path, func(nc net.Conn) { s.answer(nc, body) })
	return s
}

// scripted starts a worker on a UNIX socket. It reads each request and calls answer for
// the rest.
func scripted(t *testing.T, path string, answer func(net.Conn)) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer nc.Close()
				if _, err := uwsgi.ReadRequest(bufio.NewReader(nc)); err == nil {
					answer(nc)
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); conns.Wait() })
}

func (s *slowWorker) answer(nc net.Conn, body string) {
	s.started.Done()
	<-s.goOn
	fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func (s *slowWorker) wait(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	go func() { s.started.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("not all requests reached the worker")
	}
}
