//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"uwgate/demo/stack"
)

// The names of the targets.
const (
	fastRouter = "FastRouter"
	uwgate     = "uwgate"
	netRelay   = "bare relay"
	rawRelay   = "raw relay"
)

// A target is a program between the load and the worker.
type target struct {
	name    string
	at      string // where it listens
	process *stack.Process
	group   group
	worker  group  // shared by all targets
	admin   string // admin socket of uwgate and of the bare relay, for profiles
}

// launch starts a target that uses sockets of a kind on both sides. It appends args to
// the arguments of uwgate and of the bare relay.
func (l *lab) launch(ctx context.Context, name, kind string, args ...string) (*target, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	addr, err := l.place(kind)
	if err != nil {
		return nil, err
	}
	t := &target{name: name, at: addr, worker: group{l.worker.PID()}, admin: l.path("admin" + strconv.Itoa(l.names) + ".sock")}
	t.process = l.program(t, l.workerAt(kind), args)
	if err := t.process.Start(ctx); err != nil {
		return nil, err
	}
	if err := t.know(&l.serial); err != nil {
		return nil, errors.Join(err, t.process.Kill())
	}
	return t, nil
}

// know finds the target's processes. It sends a request first: FastRouter's master
// listens before it starts the process that works.
func (t *target) know(serial *atomic.Int64) error {
	p, err := newPacket(question{path: passing.path}, serial)
	if err != nil {
		return err
	}
	got, err := t.run(load{packet: p, want: passing.want, atOnce: 1, requests: 1, window: time.Hour})
	if err == nil {
		err = got.flawless()
	}
	if err == nil {
		t.group, err = groupOf(t.process.PID())
	}
	return err
}

// place returns the address for the next target.
func (l *lab) place(kind string) (string, error) {
	l.names++
	if kind == onUnix {
		return "unix:" + l.path("target"+strconv.Itoa(l.names)+".sock"), nil
	}
	ports, err := stack.FreePorts(1)
	if err != nil {
		return "", err
	}
	return ports[0], nil
}

func (l *lab) program(t *target, worker string, args []string) *stack.Process {
	file := "target" + strconv.Itoa(l.names)
	switch t.name {
	case fastRouter:
		return l.process(file, t.at, l.uwsgi, "--plugins", "corerouter,fastrouter", "--master", "--die-on-term", "--no-orphans",
			"--listen", strconv.Itoa(backlog), "--fastrouter", bare(t.at), "--fastrouter-to", bare(worker))
	case netRelay:
		return l.process(file, t.at, append([]string{l.self, "relay", t.at, worker, t.admin}, args...)...)
	case rawRelay:
		return l.process(file, t.at, l.self, "raw-relay", strconv.Itoa(backlog), t.at, worker)
	}
	return l.gateway(file, t, worker, args)
}

// gateway returns the command of uwgate with its defaults.
func (l *lab) gateway(file string, t *target, worker string, args []string) *stack.Process {
	command := append([]string{
		l.uwgate, "serve", "--listen", t.at, "--backend", worker, "--memcached", l.memcached.Addr,
		"--admin", "unix:" + t.admin, "--log", "file:" + l.path(file+".access.log") + " json",
	}, args...)
	p := l.process(file, t.at, command...)
	p.Env = stack.UwgateEnv()
	return p
}

// bare returns an address in uWSGI's form.
func bare(addr string) string {
	_, address := network(addr)
	return address
}

// run sends a load through the target. Failed requests are in the tally.
func (t *target) run(l load) (*tally, error) {
	l.to, l.used = t.at, t.used
	got, err := l.run()
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w; its log:\n%s", t.name, err, t.process.Log())
	}
	return got, nil
}

// used returns the CPU time so far.
func (t *target) used() (u usage, err error) {
	if u.cpu, err = t.group.cpu(); err != nil {
		return u, err
	}
	if u.user, u.system, err = t.group.ticks(); err != nil {
		return u, err
	}
	if u.load, err = (group{os.Getpid()}).cpu(); err != nil {
		return u, err
	}
	u.worker, err = t.worker.cpu()
	return u, err
}

// stop ends the target.
func (t *target) stop() { t.process.Kill() }
