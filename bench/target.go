//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"uwgate/demo/stack"
)

// The targets, by name.
const (
	fastRouter = "FastRouter"
	uwgate     = "uwgate"
	netRelay   = "bare relay"
	rawRelay   = "raw relay"
)

// A target is what a load goes through.
type target struct {
	name    string
	at      string // where it listens
	process *stack.Process
	group   group
}

// launch starts a target between two sockets of a kind. The args are appended to
// uwgate's.
func (l *lab) launch(ctx context.Context, name, kind string, args ...string) (*target, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	addr, err := l.place(kind)
	if err != nil {
		return nil, err
	}
	t := &target{name: name, at: addr}
	if t.process, err = l.program(name, addr, l.workerAt(kind), args); err != nil {
		return nil, err
	}
	if err := t.process.Start(ctx); err != nil {
		return nil, err
	}
	if err := t.know(&l.serial); err != nil {
		return nil, errors.Join(err, t.process.Kill())
	}
	return t, nil
}

// know finds the target's processes. They are all there once a request is answered:
// FastRouter's master listens before it starts the one that works.
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

// place is where the next target listens.
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

func (l *lab) program(name, addr, worker string, args []string) (*stack.Process, error) {
	file := "target" + strconv.Itoa(l.names)
	switch name {
	case fastRouter:
		at, to := bare(addr), bare(worker)
		return l.process(file, addr, l.uwsgi, "--plugins", "corerouter,fastrouter", "--master", "--die-on-term", "--no-orphans",
			"--listen", strconv.Itoa(backlog), "--fastrouter", at, "--fastrouter-to", to), nil
	case netRelay:
		return l.process(file, addr, l.self, "relay", addr, worker), nil
	case rawRelay:
		return l.process(file, addr, l.self, "raw-relay", strconv.Itoa(backlog), addr, worker), nil
	}
	return l.gateway(file, addr, worker, args)
}

// gateway is uwgate with its defaults.
func (l *lab) gateway(file, addr, worker string, args []string) (*stack.Process, error) {
	ports, err := stack.FreePorts(1)
	if err != nil {
		return nil, err
	}
	command := append([]string{
		l.uwgate, "serve", "--listen", addr, "--backend", worker, "--memcached", l.memcached.Addr,
		"--admin", ports[0], "--log", "file:" + l.path(file+".access.log") + " json",
	}, args...)
	p := l.process(file, addr, command...)
	p.Env = stack.UwgateEnv()
	return p, nil
}

// bare is an address as uWSGI writes it.
func bare(addr string) string {
	_, address := network(addr)
	return address
}

// run has a load go through the target. Requests that fail are in the tally.
func (t *target) run(l load) (*tally, error) {
	l.to, l.cpu = t.at, t.group.cpu
	got, err := l.run()
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w; its last words:\n%s", t.name, err, t.process.Log())
	}
	return got, nil
}

// stop ends the target.
func (t *target) stop() { t.process.Kill() }
