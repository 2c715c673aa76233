package backend

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// An outage lasts until Recover.
func TestOutage(t *testing.T) {
	p, err := NewPool("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.QueueTimeout = 10 * time.Millisecond
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

func outOfFiles(net.Conn) error {
	return &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
}

// A shortage on this machine ejects no server. Requests wait until it is over, and it is
// logged once.
func TestOurShortageIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		p := newPool(t, "@a", "@b")
		p.Log = zap.New(core)
		w := simulate(p)
		w.set("@a", outOfFiles)
		w.set("@b", outOfFiles)
		begin := time.Now()
		time.AfterFunc(3*time.Second, func() { w.set("@a", nil); w.set("@b", nil) })
		for range 5 {
			go func() {
				nc, err := p.Dial(context.Background(), Want{})
				if err != nil {
					t.Error(err)
					return
				}
				nc.Close()
			}()
		}
		nc := dial(t, p, Want{})
		nc.Close()
		if d := time.Since(begin); d < 3*time.Second || d > 3*time.Second+2*busyPause {
			t.Errorf("connected after %v", d)
		}
		time.Sleep(time.Second)
		for _, n := range p.Stats() {
			if !n.Up || n.InFlight != 0 || n.DialErrors != 0 || n.Busy != 0 {
				t.Errorf("%+v", n)
			}
		}
		if n := logs.FilterMessageSnippet("no room for another connection").Len(); n != 1 || p.PoolStats().Shortages == 0 {
			t.Errorf("logged %d times, %+v", n, p.PoolStats())
		}
		checkIdle(t, p)
	})
}

func TestOurShortageThatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a", "@b")
		w := simulate(p)
		w.set("@a", outOfFiles)
		w.set("@b", outOfFiles)
		begin := time.Now()
		_, err := p.Dial(t.Context(), Want{})
		if !errors.Is(err, ErrShortage) || errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "too many open files; allow uwgate more") {
			t.Error(err)
		}
		if d := time.Since(begin); d != p.queueTimeout() {
			t.Errorf("after %v", d)
		}
		checkIdle(t, p)
	})
}
