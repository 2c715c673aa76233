//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// A crowd is requests that wait for the worker.
type crowd struct {
	lab    *lab
	target *target
	done   chan error
}

// hold has n requests wait behind a target, and returns when they all do.
func (b *bench) hold(t *target, n int) (*crowd, error) {
	p, err := newPacket(question{path: "/hold/4096/", store: b.lab.memcached.Addr}, &b.lab.serial)
	if err != nil {
		return nil, err
	}
	c := &crowd{lab: b.lab, target: t, done: make(chan error, 1)}
	go c.ask(load{to: t.at, packet: p, want: page, rate: 4000, requests: n, window: time.Hour})
	for {
		held, err := b.lab.tell("/held")
		if err != nil || held == n {
			return c, err
		}
		select {
		case err := <-c.done:
			return nil, fmt.Errorf("bench: %d of %d requests waited behind %s: %w", held, n, t.name, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *crowd) ask(l load) {
	got, err := l.run()
	if err == nil {
		err = got.flawless()
	}
	c.done <- err
}

// release has them answered, and fails if one was not.
func (c *crowd) release() error {
	if _, err := c.lab.tell("/release"); err != nil {
		return err
	}
	if err := <-c.done; err != nil {
		return fmt.Errorf("%s, requests that had waited: %w", c.target.name, err)
	}
	return nil
}

// memory is what a request that waits for its worker takes of a target's memory, in
// bytes, after some that did not.
func (b *bench) memory(ctx context.Context, name string, n int) (float64, error) {
	t, err := b.lab.launch(ctx, name, onUnix)
	if err != nil {
		return 0, err
	}
	defer t.stop()
	l, err := b.load(&passing)
	if err != nil {
		return 0, err
	}
	if _, err := t.run(l); err != nil {
		return 0, err
	}
	idle, err := t.group.resident()
	if err != nil {
		return 0, err
	}
	c, err := b.hold(t, n)
	if err != nil {
		return 0, err
	}
	full, err := t.group.resident()
	if err != nil {
		return 0, err
	}
	return float64(full-idle) / float64(n), c.release()
}

// waiting compares the memory in turns.
func (b *bench) waiting(ctx context.Context) (finding, error) {
	each := make(map[string][]float64)
	for range b.rounds {
		for _, name := range []string{fastRouter, uwgate} {
			bytes, err := b.memory(ctx, name, b.crowd)
			if err != nil {
				return finding{}, err
			}
			each[name] = append(each[name], bytes)
		}
	}
	ours := median(each[uwgate])
	return finding{
		work: fmt.Sprintf("%d requests waiting on slow workers, unix", b.crowd), what: "memory a request",
		theirs: asKiB(median(each[fastRouter])), ours: asKiB(ours),
		value: ours, bound: 10 << 10, text: asKiB,
	}, nil
}
