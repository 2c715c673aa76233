package backend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"uwgate/uwsgi"
)

// Probing says how servers that may have failed are tested.
type Probing struct {
	// Probe is the test.
	Probe Probe

	// ProbeInterval is the pause between the probes of a server that accepts
	// connections and does not respond. Zero means 5 s.
	ProbeInterval time.Duration

	// ProbeTimeout bounds one probe. Zero means 2 s.
	ProbeTimeout time.Duration
}

func (p *Probing) probeInterval() time.Duration { return orDefault(p.ProbeInterval, 5*time.Second) }
func (p *Probing) probeTimeout() time.Duration  { return orDefault(p.ProbeTimeout, 2*time.Second) }

// A Probe is the test of a server that may have failed, as [ParseProbe] reads it. The
// zero value is a ping.
type Probe string

const (
	// probePing is a uwsgi ping. A server without the ping plugin closes the
	// connection at once. A hung server does not, so the close passes too.
	probePing Probe = ""
	// probeConnect only connects. It says nothing about the workers.
	probeConnect Probe = "connect"
)

// ParseProbe reads ping, connect, /path or host/path. The last two are a GET of that
// page: a server passes if the status of its response is below 500.
func ParseProbe(s string) (Probe, error) {
	switch {
	case s == "ping":
		return probePing, nil
	case s == string(probeConnect):
		return probeConnect, nil
	case strings.Contains(s, "/") && !strings.Contains(s, "://") && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return Probe(s), nil
	}
	return "", fmt.Errorf("backend: there is no probe %q; write ping, connect, or the path of a page, as in /health or www.example.com/health", s)
}

// maxProbes bounds the probes of a pool that run at the same time.
const maxProbes = 32

// A connectError is the error of a probe whose connection was not accepted.
type connectError struct{ error }

// watchNode schedules a probe of n after d. p.mu is held.
func (p *pool) watchNode(n *Node, d time.Duration) {
	switch {
	case n.gone || p.retired:
	case n.watch == nil:
		n.watch = time.AfterFunc(d, func() { p.probeNode(n) })
	default:
		n.watch.Reset(d)
	}
}

// probeNode probes n once. It runs in a goroutine of its own, which ends within the
// timeout, or when the pool is closed or retired.
func (p *pool) probeNode(n *Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.gone || p.retired || n.probing || !n.suspect && !n.isEjected() {
		return
	}
	if p.probes >= maxProbes {
		p.watchNode(n, busyPause)
		return
	}
	p.probes++
	n.probing = true
	p.work.Add(1)
	defer p.work.Done()
	p.mu.Unlock()
	err := p.probe(n)
	p.mu.Lock()
	p.probes--
	if !n.gone && !p.retired {
		p.probed(n, err)
	}
	n.probing = false
}

// probe asks n once, and returns nil if n is alive.
func (p *pool) probe(n *Node) error {
	opts := p.options()
	timeout := opts.probeTimeout()
	ctx, cancel := context.WithTimeout(p.done, timeout)
	defer cancel()
	nc, err := p.dial(ctx, n, timeout)
	if errors.Is(err, syscall.EAGAIN) {
		return err // somebody listens: the backlog is full
	}
	if err != nil {
		return &connectError{fmt.Errorf("connect to %s: %w", n, cause(err))}
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if opts.Probe == probeConnect {
		return nil
	}
	nc.SetDeadline(time.Now().Add(timeout))
	if opts.Probe == probePing {
		return p.ping(nc)
	}
	return opts.get(nc, n)
}

// ping expects any response, or a close.
func (p *pool) ping(nc net.Conn) error {
	if _, err := io.WriteString(nc, uwsgi.Ping); err != nil {
		return fmt.Errorf("send ping: %w", cause(err))
	}
	var head [len(uwsgi.Pong)]byte
	_, err := io.ReadFull(nc, head[:])
	switch {
	case err == io.EOF:
		p.noPlugin.Do(func() {
			p.options().log().Info("a backend has no ping plugin; its probes pass when it closes the connection")
		})
		return nil
	case err != nil:
		return fmt.Errorf("read pong: %w", cause(err))
	}
	return nil
}

// get expects the head of the page that p.Probe names.
func (p *Pool) get(nc net.Conn, n *Node) error {
	req := uwsgi.Request{Vars: p.Probe.vars()}
	req.Modifier1, req.Modifier2 = n.Modifiers()
	for _, v := range p.SetVars {
		req.Vars = req.Vars.Set(v)
	}
	if err := req.Write(nc); err != nil {
		return fmt.Errorf("send probe: %w", cause(err))
	}
	resp, err := uwsgi.ReadResponse(bufio.NewReader(nc))
	switch {
	case err != nil:
		return fmt.Errorf("read response to probe: %w", err)
	case resp.StatusCode >= 500:
		return fmt.Errorf("response to probe has status %d", resp.StatusCode)
	}
	return nil
}

// vars returns the vars of the GET as nginx would send them.
func (p Probe) vars() uwsgi.Vars {
	host, path, _ := strings.Cut(string(p), "/")
	if host == "" {
		host = "localhost"
	}
	path = "/" + path
	file, query, _ := strings.Cut(path, "?")
	return uwsgi.Vars{
		{Name: "QUERY_STRING", Value: query},
		{Name: "REQUEST_METHOD", Value: "GET"},
		{Name: "CONTENT_TYPE", Value: ""},
		{Name: "CONTENT_LENGTH", Value: ""},
		{Name: "REQUEST_URI", Value: path},
		{Name: "PATH_INFO", Value: file},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
		{Name: "REQUEST_SCHEME", Value: "http"},
		{Name: "REMOTE_ADDR", Value: "127.0.0.1"},
		{Name: "SERVER_PORT", Value: "80"},
		{Name: "SERVER_NAME", Value: host},
		{Name: "HTTP_HOST", Value: host},
		{Name: "HTTP_USER_AGENT", Value: "uwgate-probe"},
	}
}
