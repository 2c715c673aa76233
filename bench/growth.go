//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"
)

// A series is the cost of a request as something grows.
type series struct {
	name   string // "stores a second"
	points []point
}

type point struct {
	x   float64
	cpu time.Duration
}

// growth is the ratio of the last cost to the first.
func (s series) growth() float64 {
	first, last := s.points[0], s.points[len(s.points)-1]
	return float64(last.cpu) / float64(first.cpu)
}

// grow measures all series.
func (b *bench) grow(ctx context.Context) ([]series, error) {
	var all []series
	for _, measure := range []func(context.Context) (series, error){
		b.growStores, b.growRouter, b.growPools, b.growPages, b.growCrowd,
	} {
		s, err := measure(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// follow measures the cost at b.points places from first to last. The ratio of
// neighbours is the same everywhere.
func (b *bench) follow(name string, first, last float64, cost func(x float64) (time.Duration, error)) (series, error) {
	s := series{name: name}
	for i := range b.points {
		x := math.Round(first * math.Pow(last/first, float64(i)/float64(b.points-1)))
		cpu, err := cost(x)
		if err != nil {
			return s, err
		}
		s.points = append(s.points, point{x, cpu})
	}
	return s, nil
}

// cost is the cost of a request of the trial. A rate of 0 means as many as the target takes.
func (b *bench) cost(t *trial, through *target, rate float64) (time.Duration, error) {
	s, err := b.take(t, through, rate)
	return s.cpu, cmp.Or(err, s.failure)
}

func (b *bench) growStores(ctx context.Context) (series, error) {
	return b.growRate(ctx, "stores a second", uwgate)
}

func (b *bench) growRouter(ctx context.Context) (series, error) {
	return b.growRate(ctx, "FastRouter: responses a second", fastRouter)
}

// growRate ends at half of the capacity, since requests that come one by one cost more.
func (b *bench) growRate(ctx context.Context, name, target string) (series, error) {
	through, err := b.lab.launch(ctx, target, onUnix)
	if err != nil {
		return series{}, err
	}
	defer through.stop()
	most, err := b.capacity(&storing, through)
	if err != nil {
		return series{}, err
	}
	return b.follow(name, 10, min(10000, most/2), func(rate float64) (time.Duration, error) {
		return b.cost(&storing, through, rate)
	})
}

// growPools measures with more and more pools, each with a host and a server.
func (b *bench) growPools(ctx context.Context) (series, error) {
	return b.follow("pools", 1, 500, func(n float64) (time.Duration, error) {
		file, err := b.lab.mapPools(int(n))
		if err != nil {
			return 0, err
		}
		through, err := b.lab.launch(ctx, uwgate, onUnix, "--host-map", file)
		if err != nil {
			return 0, err
		}
		defer through.stop()
		t := passing
		t.pools = int(n)
		return b.cost(&t, through, 0)
	})
}

// mapPools writes a --host-map file for the hosts of the packets. Each pool has a
// symbolic link to the worker's socket, which makes it another server for uwgate.
func (l *lab) mapPools(n int) (file string, err error) {
	var text strings.Builder
	for i := range n {
		at := l.path(fmt.Sprintf("pool%d.sock", i))
		if err := os.Symlink(l.path("worker.sock"), at); err != nil && !os.IsExist(err) {
			return "", err
		}
		fmt.Fprintf(&text, "www%0*d.example.com unix:%s\n", digits, i, at)
	}
	file = l.path(fmt.Sprintf("pools%d.map", n))
	return file, os.WriteFile(file, []byte(text.String()), 0o644)
}

// growPages measures while one uwgate stores more and more pages.
func (b *bench) growPages(ctx context.Context) (series, error) {
	through, err := b.lab.launch(ctx, uwgate, onUnix)
	if err != nil {
		return series{}, err
	}
	defer through.stop()
	first := b.lab.serial.Load()
	return b.follow("pages stored before, at least", 1, float64(b.stored), func(pages float64) (time.Duration, error) {
		if missing := int(pages) - int(b.lab.serial.Load()-first); missing > 0 {
			if err := b.send(&storing, through, missing); err != nil {
				return 0, err
			}
		}
		return b.cost(&storing, through, 0)
	})
}

// send sends a number of requests and waits for all responses.
func (b *bench) send(t *trial, through *target, requests int) error {
	l, err := b.load(t)
	if err != nil {
		return err
	}
	l.requests, l.window = requests, time.Hour
	got, err := through.run(l)
	if err != nil {
		return err
	}
	return got.flawless()
}

// growCrowd measures while more and more other requests wait behind uwgate.
func (b *bench) growCrowd(ctx context.Context) (series, error) {
	through, err := b.lab.launch(ctx, uwgate, onUnix)
	if err != nil {
		return series{}, err
	}
	defer through.stop()
	return b.follow("requests waiting meanwhile", 1, float64(b.crowd), func(n float64) (time.Duration, error) {
		c, err := b.hold(through, int(n))
		if err != nil {
			return 0, err
		}
		cpu, err := b.cost(&passing, through, 0)
		return cpu, errors.Join(err, c.release())
	})
}
