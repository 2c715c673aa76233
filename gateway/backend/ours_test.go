package backend

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An outage lasts until Recover.
func TestOutage(t *testing.T) {
	p, err := NewPool("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if at := p.Outage(); !at.IsZero() || p.Recover() {
		t.Errorf("before any request: %v", at)
	}
	if _, err := p.Dial(t.Context(), Want{}); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	if since := time.Since(p.Outage()); since < 0 || since > time.Minute {
		t.Errorf("out for %v", since)
	}
	if !p.Recover() || p.Recover() || !p.Outage().IsZero() {
		t.Error("recovered twice, or not at all")
	}
}

// A shortage on this machine ejects no server.
func TestOurShortageEjectsNobody(t *testing.T) {
	p, err := NewPool("127.0.0.1:1", "127.0.0.1:2")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	asked := 0
	p.dialer = func(context.Context, *Node, time.Duration) (net.Conn, error) {
		asked++
		return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	}
	_, err = p.Dial(t.Context(), Want{})
	if err == nil || errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "too many open files; allow uwgate more") || asked != 1 {
		t.Errorf("asked %d servers: %v", asked, err)
	}
	for _, n := range p.Stats() {
		if !n.Up || n.InFlight != 0 {
			t.Errorf("%+v", n)
		}
	}
}
