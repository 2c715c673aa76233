package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// stage listens for the length of a script, and has each connection served.
func stage(ts *testscript.TestScript, env string, serve func(net.Conn)) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ctx, end := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				defer context.AfterFunc(ctx, func() { nc.Close() })()
				serve(nc)
			})
		}
	})
	ts.Defer(func() {
		ln.Close()
		end()
		wg.Wait()
	})
	ts.Setenv(env, ln.Addr().String())
}

func startWorker(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: worker DIR")
	}
	dir := ts.MkAbs(args[0])
	stage(ts, "WORKER", func(nc net.Conn) {
		req, err := uwsgi.ReadRequest(bufio.NewReader(nc))
		if err != nil {
			return
		}
		path, _, _ := strings.Cut(req.Vars.Get("REQUEST_URI"), "?")
		answer, err := os.ReadFile(filepath.Join(dir, filepath.Base(path)))
		if err != nil {
			answer = []byte("HTTP/1.1 404 Not Found\nContent-Length: 0\n\n")
		}
		nc.Write(answer)
	})
}

// startNginx is nginx, as far as warm sees it.
func startNginx(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: site DIR")
	}
	dir := ts.MkAbs(args[0])
	stage(ts, "SITE", func(nc net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(nc))
		if err != nil {
			return
		}
		answer, err := os.ReadFile(filepath.Join(dir, filepath.Base(req.URL.Path)))
		if err != nil {
			answer = []byte("HTTP/1.1 404 Not Found\nContent-Length: 0\n\n")
		}
		nc.Write(answer)
	})
}

// startMemcached ends the script's test if anybody wants to write.
func startMemcached(ts *testscript.TestScript, neg bool, args []string) {
	items := map[string][]byte{}
	for _, arg := range args {
		i := strings.LastIndex(arg, "=")
		if i < 0 || neg {
			ts.Fatalf("usage: memcached [KEY=FILE]…")
		}
		items[arg[:i]] = []byte(ts.ReadFile(arg[i+1:]))
	}
	var mu sync.Mutex // guards wrote
	var wrote []string
	stage(ts, "MEMCACHED", func(nc net.Conn) {
		lines := bufio.NewScanner(nc)
		for lines.Scan() {
			verb, key, _ := strings.Cut(lines.Text(), " ")
			switch body, found := items[key]; {
			case verb == "version":
				fmt.Fprint(nc, "VERSION 1.5.22\r\n") // before the meta commands
			case verb == "stats", verb == "lru_crawler":
				fmt.Fprint(nc, "END\r\n") // it has nothing that could be listed
			case verb == "mn":
				fmt.Fprint(nc, "ERROR\r\n")
			case verb != "get" && verb != "gets":
				mu.Lock()
				wrote = append(wrote, lines.Text())
				mu.Unlock()
				return
			case found && verb == "gets":
				fmt.Fprintf(nc, "VALUE %s 0 %d 1\r\n%s\r\nEND\r\n", key, len(body), body)
			case found:
				fmt.Fprintf(nc, "VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(body), body)
			default:
				fmt.Fprint(nc, "END\r\n")
			}
		}
	})
	ts.Defer(func() {
		mu.Lock()
		defer mu.Unlock()
		if len(wrote) > 0 {
			ts.Fatalf("memcached got %q", wrote)
		}
	})
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await ADDRESS")
	}
	network, address, err := backend.ParseAddr(args[0])
	ts.Check(err)
	for until := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		nc, err := net.Dial(network, address)
		if err == nil {
			nc.Close()
			return
		}
		if time.Now().After(until) {
			ts.Fatalf("nobody came to listen: %v", err)
		}
	}
}

func hup(ts *testscript.TestScript, neg bool, args []string) {
	programs := ts.BackgroundCmds()
	if neg || len(args) > 0 || len(programs) != 1 {
		ts.Fatalf("usage: hup, with one program in the background")
	}
	ts.Check(programs[0].Process.Signal(syscall.SIGHUP))
}

// awaitLine waits for a line of a log; read is how much of each was looked at.
func awaitLine(read map[string]int) func(*testscript.TestScript, bool, []string) {
	var mu sync.Mutex // guards read: scripts run side by side
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 2 {
			ts.Fatalf("usage: logged FILE REGEXP")
		}
		path, want := ts.MkAbs(args[0]), regexp.MustCompile("(?m)^.*"+args[1]+".*\n")
		mu.Lock()
		defer mu.Unlock()
		for until := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			text, err := os.ReadFile(path)
			ts.Check(err)
			if at := want.FindIndex(text[read[path]:]); at != nil {
				read[path] += at[1]
				return
			}
			if time.Now().After(until) {
				ts.Fatalf("%s has no line %q: %s", args[0], args[1], text[read[path]:])
			}
		}
	}
}

func makePacket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: packet FILE")
	}
	saved, err := parseRequest([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	var b bytes.Buffer
	ts.Check((&uwsgi.Request{Vars: saved.vars}).Write(&b))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

func freeAddress(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
