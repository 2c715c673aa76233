//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// A trial is one kind of work for several targets, which take turns.
type trial struct {
	name  string
	kind  string // kind of all sockets
	among []string
	path  string // a path of the worker's script
	body  int    // bytes of an upload
	want  int64  // bytes of each response
	pools int    // hosts, requested in turn; 0: one

	atOnce int     // number of requests under way
	share  float64 // the offered load, as a share of FastRouter's capacity; 0: as many as a target takes
	stores bool    // each response must be in memcached at the end

	claims []claim
}

// A claim says that a measure of uwgate is at most bound times that of another target.
// The aim is a lower bound that we want to reach.
type claim struct {
	of         measure
	against    string
	bound, aim float64 // aim 0: none
}

// A sample contains the results of one target in one round.
type sample struct {
	cpu, cpuMiB    time.Duration // of a request, of a MiB of responses
	system         time.Duration // the part of cpu that was spent in the kernel
	load, worker   time.Duration // of the generator and the worker, for a request
	rate           float64       // requests a second
	offered        float64       // requests a second that began; 0: as many as the target takes
	p50, p99, p999 time.Duration
	failure        error   // the first failed request
	stored         float64 // share of the responses that were stored
}

// results are the samples of a trial: for each target, one of each round.
type results map[string][]sample

// turns runs all rounds with the same processes, and then profiles them.
func (b *bench) turns(ctx context.Context, t *trial) (results, map[string]split, error) {
	targets, err := b.launchAll(ctx, t)
	defer stopAll(targets)
	if err != nil {
		return nil, nil, err
	}
	all, err := b.compare(ctx, t, targets)
	if err != nil || !t.isProfiled() {
		return all, nil, err
	}
	where, err := b.profileAll(ctx, t, targets, all)
	return all, where, err
}

// compare takes a sample of each target in each round.
func (b *bench) compare(ctx context.Context, t *trial, targets []*target) (results, error) {
	var err error
	rate := 0.0
	if t.share > 0 {
		if rate, err = b.capacity(t, targets[0]); err != nil {
			return nil, err
		}
	}
	all := make(results)
	for range b.rounds {
		for _, target := range targets {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			s, err := b.take(t, target, t.share*rate)
			if err != nil {
				return nil, err
			}
			all[target.name] = append(all[target.name], s)
		}
	}
	return all, nil
}

func (b *bench) launchAll(ctx context.Context, t *trial) ([]*target, error) {
	var targets []*target
	for _, name := range t.among {
		target, err := b.lab.launch(ctx, name, t.kind)
		if err != nil {
			return targets, err
		}
		targets = append(targets, target)
	}
	return targets, nil
}

func stopAll(targets []*target) {
	for _, t := range targets {
		t.stop()
	}
}

// capacity is the number of requests a second that a target serves under full load.
func (b *bench) capacity(t *trial, target *target) (float64, error) {
	l, err := b.load(t)
	if err != nil {
		return 0, err
	}
	got, err := target.run(l)
	if err != nil {
		return 0, err
	}
	return got.perSecond(), nil
}

// load returns the load of a trial, without a rate.
func (b *bench) load(t *trial) (load, error) {
	p, err := newPacket(question{path: t.path, body: t.body, pools: t.pools, store: b.lab.memcached.Addr}, &b.lab.serial)
	return load{packet: p, want: t.want, atOnce: t.atOnce, warmup: b.warmup, window: b.window}, err
}

// take takes a sample. A rate of 0 means as many requests as the target takes.
func (b *bench) take(t *trial, target *target, rate float64) (sample, error) {
	l, err := b.load(t)
	if err != nil {
		return sample{}, err
	}
	if l.rate = rate; rate > 0 {
		l.window *= 2 // so that the slowest hundredth are many requests
	}
	before, err := b.lab.sets()
	if err != nil {
		return sample{}, err
	}
	got, err := target.run(l)
	if err != nil {
		return sample{}, err
	}
	if got.used.cpu == 0 {
		return sample{}, fmt.Errorf("bench: %s: the processes %v have used no CPU time", target.name, target.group)
	}
	s := got.sample()
	s.offered = rate
	if s.failure != nil {
		b.say("%s: %v", target.name, s.failure)
	}
	if t.stores && target.name == uwgate {
		s.stored, err = b.lab.stored(before, got.begun)
	}
	return s, err
}

func (t *tally) perSecond() float64 { return float64(t.responses) / t.took.Seconds() }

func (t *tally) sample() sample {
	n := time.Duration(t.responses)
	return sample{
		cpu:     t.used.cpu / n,
		cpuMiB:  time.Duration(float64(t.used.cpu) / (float64(t.bytes) / (1 << 20))),
		system:  t.used.inKernel() / n,
		load:    t.used.load / n,
		worker:  t.used.worker / n,
		rate:    t.perSecond(),
		p50:     quantile(t.latencies, 0.5),
		p99:     quantile(t.latencies, 0.99),
		p999:    quantile(t.latencies, 0.999),
		failure: t.flawless(),
	}
}
