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

// A Probe is what a server in doubt is asked: [ProbePing], [ProbeConnect], or a
// GET of a path such as /health, with a host before the path if the application
// wants one. A server passes a GET whose status is below 500.
type Probe string

const (
	// ProbePing is a uwsgi ping. A server without the ping plugin closes the
	// connection at once, which no hung one does: it passes, too.
	ProbePing Probe = ""
	// ProbeConnect only connects. It tells nothing about the workers.
	ProbeConnect Probe = "connect"
)

// ParseProbe reads ping, connect, /path or host/path.
func ParseProbe(s string) (Probe, error) {
	switch {
	case s == "ping":
		return ProbePing, nil
	case s == string(ProbeConnect):
		return ProbeConnect, nil
	case strings.Contains(s, "/") && !strings.Contains(s, "://") && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return Probe(s), nil
	}
	return "", fmt.Errorf("backend: there is no probe %q: write ping, connect, or the path of a page, as in /health or www.example.com/health", s)
}

// maxProbes bounds the probes of a pool that run at the same time.
const maxProbes = 32

// A connectError is that of a probe that was not accepted.
type connectError struct{ error }

// watchNode has n probed after d. p.mu is held.
func (p *pool) watchNode(n *Node, d time.Duration) {
	switch {
	case n.gone || p.retired:
	case n.watch == nil:
		n.watch = time.AfterFunc(d, func() { p.probeNode(n) })
	default:
		n.watch.Reset(d)
	}
}

// probeNode is one probe. It runs in a goroutine of its own, which ends within
// the timeout or with Close.
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

// probe returns nil if n is alive.
func (p *pool) probe(n *Node) error {
	opts := p.options()
	timeout := opts.probeTimeout()
	ctx, cancel := context.WithTimeout(p.done, timeout)
	defer cancel()
	nc, err := p.dial(ctx, n, timeout)
	if errors.Is(err, syscall.EAGAIN) {
		return err // the backlog is full, so somebody listens
	}
	if err != nil {
		return &connectError{fmt.Errorf("connect to %s: %w", n, cause(err))}
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if opts.Probe == ProbeConnect {
		return nil
	}
	nc.SetDeadline(time.Now().Add(timeout))
	if opts.Probe == ProbePing {
		return p.ping(nc)
	}
	return opts.get(nc, n)
}

// ping wants any answer, or a close without one.
func (p *pool) ping(nc net.Conn) error {
	if _, err := io.WriteString(nc, uwsgi.Ping); err != nil {
		return fmt.Errorf("send ping: %w", cause(err))
	}
	var head [len(uwsgi.Pong)]byte
	_, err := io.ReadFull(nc, head[:])
	switch {
	case err == io.EOF:
		p.noPlugin.Do(func() {
			p.options().log().Info("the backend has no ping plugin; that it closes the connection is sign of life enough")
		})
		return nil
	case err != nil:
		return fmt.Errorf("read pong: %w", cause(err))
	}
	return nil
}

// get wants the head of the page that p.Probe is.
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
		return fmt.Errorf("read answer to probe: %w", err)
	case resp.StatusCode >= 500:
		return fmt.Errorf("answer to probe has status %d", resp.StatusCode)
	}
	return nil
}

// vars are those of a GET as nginx would send it.
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
