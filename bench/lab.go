//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// A lab has a directory, a worker and a memcached, which all targets share.
type lab struct {
	dir    string
	uwgate string // path of its binary

	uwsgi, memcachedProgram, self string // paths
	worker, memcached             *stack.Process
	workerTCP                     string       // the worker's TCP address
	serial                        atomic.Int64 // number of the last request
	names                         int          // number of targets so far
}

// backlog is the backlog of each listener.
var backlog = stack.Backlog(4096)

func newLab(ctx context.Context, uwgate string) (*lab, error) {
	dir, err := os.MkdirTemp("", "uwgate-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{dir: dir}
	if err := errors.Join(l.find(uwgate), raiseFiles()); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// find looks up the programs.
func (l *lab) find(uwgate string) (err error) {
	if l.self, err = os.Executable(); err != nil {
		return err
	}
	if l.uwgate, err = filepath.Abs(uwgate); err != nil {
		return err
	}
	if _, err := os.Stat(l.uwgate); err != nil {
		return fmt.Errorf("bench: no uwgate at %s: run `make build`, or give its path with -uwgate", uwgate)
	}
	if l.uwsgi, err = stack.LookPath("uwsgi"); err != nil {
		return err
	}
	l.memcachedProgram, err = stack.LookPath("memcached")
	return err
}

// raiseFiles raises the limit of open files for this program and its children to the
// hard limit.
func raiseFiles() error {
	limit := syscall.Rlimit{}
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err == nil {
		limit.Cur = limit.Max
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	if err != nil {
		return fmt.Errorf("bench: number of open files: %w", err)
	}
	return nil
}

// openFiles returns the limit of open files.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20))
}

func (l *lab) start(ctx context.Context) error {
	ports, err := stack.FreePorts(1)
	if err != nil {
		return err
	}
	l.workerTCP = ports[0]
	unixAt := "unix:" + l.path("worker.sock")
	l.worker = l.process("worker", unixAt, l.self, "worker", strconv.Itoa(backlog), unixAt, l.workerTCP)
	command := []string{l.memcachedProgram, "-s", l.path("memcached.sock"), "-a", "0666", "-m", "1024", "-c", "1024"}
	if os.Geteuid() == 0 {
		command = append(command, "-u", "root") // it does not run as root without this
	}
	l.memcached = l.process("memcached", "unix:"+l.path("memcached.sock"), command...)
	for _, p := range []*stack.Process{l.worker, l.memcached} {
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close ends all programs and removes the directory.
func (l *lab) close() error {
	var all sync.WaitGroup
	for _, p := range []*stack.Process{l.worker, l.memcached} {
		if p != nil {
			all.Go(func() { p.Kill() })
		}
	}
	all.Wait()
	return os.RemoveAll(l.dir)
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// workerAt returns the worker's address for a kind of socket.
func (l *lab) workerAt(kind string) string {
	if kind == onUnix {
		return l.worker.Addr
	}
	return l.workerTCP
}

func (l *lab) process(name, addr string, command ...string) *stack.Process {
	return &stack.Process{
		Name: name, Addr: addr, LogFile: l.path(name + ".log"),
		Command: command, Dir: l.dir, Ready: stack.Connects,
	}
}

// tell requests a path such as /held from the worker and returns the number in its
// response.
func (l *lab) tell(path string) (int, error) {
	nc, err := net.DialTimeout("unix", l.path("worker.sock"), time.Second)
	if err != nil {
		return 0, fmt.Errorf("bench: ask worker: %w", err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	req := &uwsgi.Request{Vars: uwsgi.Vars{{Name: "REQUEST_URI", Value: path}}}
	if err := req.Write(nc); err != nil {
		return 0, fmt.Errorf("bench: ask worker: %w", err)
	}
	text, err := io.ReadAll(nc)
	if err != nil {
		return 0, fmt.Errorf("bench: ask worker: %w", err)
	}
	_, number, _ := strings.Cut(string(text), "\r\n\r\n")
	return strconv.Atoi(number)
}
