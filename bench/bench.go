//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// options are the options of a run.
type options struct {
	uwgate string // path of its binary
	docs   string // directory of the report; "": none is written
	only   string // part of the names of what is measured; "": everything
	rounds int
	effort
}

// An effort says how long and how much to measure.
type effort struct {
	warmup, window time.Duration
	crowd          int // number of waiting requests
	pages          int // pages requested through nginx
	points         int // of a series
	stored         int // pages stored at the end of a series
	traced         int // requests under strace
	profiled       int // length of a profile in seconds
}

var (
	thorough = effort{warmup: 300 * time.Millisecond, window: 2 * time.Second, crowd: 5000, pages: 1000, points: 5, stored: 100000, traced: 2000, profiled: 4}
	hasty    = effort{warmup: 50 * time.Millisecond, window: 150 * time.Millisecond, crowd: 200, pages: 20, points: 2, stored: 1000, traced: 200, profiled: 1}
)

// A bench is a run of the benchmark.
type bench struct {
	options
	lab *lab
	out io.Writer
}

// run measures, prints the results, and writes the report.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	l, err := newLab(ctx, o.uwgate)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	b := &bench{options: o, lab: l, out: out}
	if err := b.mayOpen(2*o.crowd + 1000); err != nil {
		return err
	}
	r, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if len(r.findings) > 0 {
		b.say("%s\n\n%s", r.machine, r.summary())
	}
	if o.docs == "" {
		return nil
	}
	return r.write(o.docs)
}

// mayOpen returns an error if the process must not open n files.
func (b *bench) mayOpen(n int) error {
	if may := openFiles(); may < n {
		return fmt.Errorf("bench: %d files will be open, but the limit is %d: raise it as root, for example with `ulimit -Hn %d`", n, may, n)
	}
	return nil
}

// A part can be measured by itself.
type part struct {
	name string
	run  func(context.Context, *report) error
}

func (b *bench) measure(ctx context.Context) (*report, error) {
	r := &report{rounds: b.rounds}
	var err error
	if r.machine, err = machine(); err != nil {
		return nil, err
	}
	for _, p := range b.parts() {
		if !strings.Contains(p.name, b.only) {
			continue
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		b.say("%s", p.name)
		if err := p.run(ctx, r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// parts returns everything that can be measured.
func (b *bench) parts() []part {
	var all []part
	for _, t := range trials() {
		all = append(all, part{t.name, func(ctx context.Context, r *report) error { return b.try(ctx, t, r) }})
	}
	all = append(all,
		part{"waiting requests", b.tryWaiting},
		part{"store delay", b.tryDelay},
		part{"hits through nginx", b.tryHits},
		part{"growth", b.tryGrowth})
	if canTrace() {
		all = append(all, part{"system calls", b.tryCalls})
	}
	return all
}

// say prints a line about the progress.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

func (b *bench) try(ctx context.Context, t *trial, r *report) error {
	all, where, err := b.turns(ctx, t)
	if err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	r.findings = append(r.findings, t.judge(all)...)
	detail := t.detail(all)
	r.details = append(r.details, detail)
	b.say("%s", detail.text)
	if s := t.explain(all, where); s.text != "" {
		r.where = append(r.where, s)
		b.say("%s", s.text)
	}
	return nil
}

func (b *bench) tryWaiting(ctx context.Context, r *report) error {
	f, s, err := b.waiting(ctx)
	r.findings, r.where = append(r.findings, f), append(r.where, s)
	b.say("%s", s.text)
	return err
}

func (b *bench) tryDelay(ctx context.Context, r *report) error {
	found, err := b.delay(ctx)
	r.findings = append(r.findings, found...)
	return err
}

func (b *bench) tryHits(ctx context.Context, r *report) error {
	found, err := b.hits(ctx)
	r.findings = append(r.findings, found...)
	return err
}

func (b *bench) tryGrowth(ctx context.Context, r *report) error {
	var err error
	if r.growth, err = b.grow(ctx); err != nil {
		return err
	}
	b.say("%s", growthTable(r.growth))
	return nil
}

// tryCalls counts system calls for small responses.
func (b *bench) tryCalls(ctx context.Context, r *report) error {
	for _, t := range trials() {
		if t.want != page || t.share > 0 {
			continue
		}
		all, err := b.countCalls(ctx, t)
		if err != nil {
			return err
		}
		s := section{t.name, callsTable(all, t.among).String()}
		r.calls = append(r.calls, s)
		b.say("%s\n%s", s.name, s.text)
	}
	return nil
}
