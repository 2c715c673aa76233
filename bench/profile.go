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

// isProfiled tells whether it is CPU time for a request that the trial is about.
func (t *trial) isProfiled() bool { return !t.isLarge() && t.share == 0 }

// profileAll looks where the time of uwgate and of the bare relay goes, under the load
// that the trial has. A relay that has not been among its targets gets a sample, too.
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

// profile looks at a target for some seconds, which begin and end with the load.
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

// profile has uwgate or the bare relay tell where its CPU time goes for so many seconds.
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
		return nil, fmt.Errorf("bench: profile of %s: it was never seen at work", t.name)
	}
	return splitOf(p), nil
}

// ask asks the target's admin socket.
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
