//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A crowd is a number of requests that wait for the worker.
type crowd struct {
	lab    *lab
	target *target
	done   chan error
}

// hold sends n requests through a target and returns when all wait for the worker.
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
			return nil, fmt.Errorf("bench: only %d of %d requests wait behind %s: %w", held, n, t.name, err)
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

// release makes the worker serve them. It returns an error if one failed.
func (c *crowd) release() error {
	if _, err := c.lab.tell("/release"); err != nil {
		return err
	}
	if err := <-c.done; err != nil {
		return fmt.Errorf("%s, requests that had waited: %w", c.target.name, err)
	}
	return nil
}

// A footprint is memory in bytes: the resident memory, and what uwgate uses of it after
// a garbage collection.
type footprint struct{ resident, heap, stacks float64 }

// inUse starts a garbage collection in the target and returns what is left.
func (t *target) inUse(ctx context.Context) (heap, stacks float64, err error) {
	if t.name != uwgate {
		return 0, 0, nil
	}
	if _, err := t.ask(ctx, "/debug/pprof/heap?gc=1"); err != nil {
		return 0, 0, err
	}
	metrics, err := t.ask(ctx, "/metrics")
	if err != nil {
		return 0, 0, err
	}
	heap, ok := metric(metrics, "go_memstats_heap_inuse_bytes")
	stacks, ok2 := metric(metrics, "go_memstats_stack_inuse_bytes")
	if !ok || !ok2 {
		return 0, 0, fmt.Errorf("bench: /metrics of %s has no go_memstats", t.name)
	}
	return heap, stacks, nil
}

// metric reads the value of a metric without labels.
func metric(text []byte, name string) (value float64, ok bool) {
	for line := range bytes.Lines(text) {
		if rest, found := bytes.CutPrefix(line, []byte(name+" ")); found {
			value, err := strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
			return value, err == nil
		}
	}
	return 0, false
}

// memory returns by how much a target's memory grows while n requests wait for the
// worker. The target has served some requests before.
func (b *bench) memory(ctx context.Context, name string, n int) (grown footprint, err error) {
	t, err := b.lab.launch(ctx, name, onUnix)
	if err != nil {
		return grown, err
	}
	defer t.stop()
	l, err := b.load(&passing)
	if err != nil {
		return grown, err
	}
	if _, err := t.run(l); err != nil {
		return grown, err
	}
	idle, err := t.group.resident()
	if err != nil {
		return grown, err
	}
	c, err := b.hold(t, n)
	if err != nil {
		return grown, err
	}
	full, err := t.group.resident()
	if err != nil {
		return grown, err
	}
	grown.resident = float64(full - idle)
	grown.heap, grown.stacks, err = t.inUse(ctx)
	if err := errors.Join(err, c.release()); err != nil {
		return grown, err
	}
	heap, stacks, err := t.inUse(ctx) // the part that is not of the waiting requests
	grown.heap -= heap
	grown.stacks -= stacks
	return grown, err
}

// waiting compares the targets' memory in turns, and says what uwgate's consists of.
func (b *bench) waiting(ctx context.Context) (finding, section, error) {
	each := make(map[string][]footprint)
	for range b.rounds {
		for _, name := range []string{fastRouter, uwgate} {
			grown, err := b.memory(ctx, name, b.crowd)
			if err != nil {
				return finding{}, section{}, err
			}
			each[name] = append(each[name], grown)
		}
	}
	a := anatomy{each[uwgate], float64(b.crowd)}
	ours := a.median(resident)
	f := finding{
		work: fmt.Sprintf("%d requests waiting on slow workers, unix", b.crowd), what: "memory a request",
		theirs: asKiB(anatomy{each[fastRouter], a.requests}.median(resident)), ours: asKiB(ours),
		value: ours, bound: 10 << 10, text: asKiB,
	}
	return f, section{f.work, a.table().String()}, nil
}

// An anatomy is the growth of memory by a number of requests, in several rounds.
type anatomy struct {
	grown    []footprint
	requests float64
}

func resident(f footprint) float64 { return f.resident }

// median returns the median growth of a part of the memory for one request.
func (a anatomy) median(part func(footprint) float64) float64 {
	values := make([]float64, len(a.grown))
	for i, f := range a.grown {
		values[i] = part(f) / a.requests
	}
	return median(values)
}

func (a anatomy) table() table {
	t := table{{"memory of uwgate", "a request"}}
	t.add("goroutines' stacks", asKiB(a.median(func(f footprint) float64 { return f.stacks })))
	t.add("heap in use", asKiB(a.median(func(f footprint) float64 { return f.heap })))
	t.add("the rest: garbage, gaps, the runtime's own", asKiB(a.median(func(f footprint) float64 { return f.resident - f.heap - f.stacks })))
	t.add("all, resident", asKiB(a.median(resident)))
	return t
}
