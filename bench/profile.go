//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
	"golang.org/x/sync/errgroup"
)

// isProfiled reports whether the trial is about the CPU time of a request.
func (t *trial) isProfiled() bool { return !t.isLarge() && t.share == 0 }

// profileAll profiles uwgate and the bare relay under the load of the trial. If the
// relay is not among the trial's targets, it takes a sample of it as well.
func (b *bench) profileAll(ctx context.Context, t *trial, targets []*target, all results) (map[string]split, error) {
	if !slices.Contains(t.among, netRelay) {
		relay, err := b.launchRelay(ctx, t)
		if err != nil {
			return nil, err
		}
		defer relay.stop()
		targets = append(slices.Clip(targets), relay)
	}
	where := make(map[string]split)
	for _, target := range targets {
		if target.name != uwgate && target.name != netRelay {
			continue
		}
		split, s, err := b.profile(ctx, t, target)
		if err != nil {
			return nil, err
		}
		where[target.name] = split
		if all[target.name] == nil {
			all[target.name] = []sample{s}
		}
	}
	return where, nil
}

func (b *bench) launchRelay(ctx context.Context, t *trial) (*target, error) {
	if t.body > 0 {
		return b.lab.launch(ctx, netRelay, t.kind, "uploads")
	}
	return b.lab.launch(ctx, netRelay, t.kind)
}

// profile profiles a target while the load runs.
func (b *bench) profile(ctx context.Context, t *trial, target *target) (split, sample, error) {
	l, err := b.load(t)
	if err != nil {
		return nil, sample{}, err
	}
	l.window = time.Duration(b.profiled) * time.Second
	var where split
	var profiling errgroup.Group
	profiling.Go(func() (err error) {
		where, err = target.profile(ctx, b.profiled)
		return err
	})
	got, err := target.run(l)
	if err := errors.Join(err, profiling.Wait()); err != nil {
		return nil, sample{}, err
	}
	s := got.sample()
	if s.failure != nil {
		b.say("%s: %v", target.name, s.failure)
	}
	return where, s, nil
}

// profile gets a CPU profile of uwgate or the bare relay.
func (t *target) profile(ctx context.Context, seconds int) (split, error) {
	text, err := t.ask(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds))
	if err != nil {
		return nil, err
	}
	p, err := profile.ParseData(text)
	if err != nil {
		return nil, fmt.Errorf("bench: profile of %s: %w", t.name, err)
	}
	if len(p.Sample) == 0 {
		return nil, fmt.Errorf("bench: profile of %s: there are no samples", t.name)
	}
	return splitOf(p), nil
}

// ask sends a request to the target's admin socket.
func (t *target) ask(ctx context.Context, path string) ([]byte, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", t.admin)
	}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://target"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("bench: ask %s: %w", t.name, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	if err != nil {
		return nil, fmt.Errorf("bench: ask %s for %s: %w", t.name, path, err)
	}
	return text, nil
}
