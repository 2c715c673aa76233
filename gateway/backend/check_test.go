package backend

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// The check at the start names the servers that are not there, and no others.
func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		p := newPool(t, "@a", "@b", "@c down", "@full")
		p.Log = zap.New(core)
		w := simulate(p)
		w.set("@a", refuses)
		w.set("@c", refuses)
		w.set("@full", full)
		ps := &Pools{Default: p}
		ps.Check(t.Context())
		lines := logs.FilterMessage("backend ejected").All()
		if len(lines) != 1 || lines[0].ContextMap()["backend"] != "@a" {
			t.Errorf("logged %v, want @a", lines)
		}
		if s := p.Stats(); s[0].Up || !s[1].Up || !s[3].Up {
			t.Errorf("%+v", s)
		}
		if err := ps.Reachable(t.Context()); err != nil {
			t.Errorf("@b is up: %v", err)
		}
	})
}

// Reachable tries servers that are known to be away, so that it says at once that one is
// back.
func TestReachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a", "@b")
		w := simulate(p)
		w.set("@a", refuses)
		w.set("@b", refuses)
		ps := &Pools{Default: p}
		ps.Check(t.Context())
		begin := time.Now()
		if err := ps.Reachable(t.Context()); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "connect to @b: connection refused") {
			t.Errorf("got %v", err)
		}
		w.set("@b", nil)
		if err := ps.Reachable(t.Context()); err != nil || time.Since(begin) > 0 {
			t.Errorf("@b is back: %v after %v", err, time.Since(begin))
		}
		if s := p.Stats(); s[0].Up || !s[1].Up {
			t.Errorf("%+v", s)
		}
	})
}

func TestReachableWithoutServers(t *testing.T) {
	if err := (&Pools{}).Reachable(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
