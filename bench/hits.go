//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"uwgate/demo/stack"
)

// hits measures, through nginx, the time from the last byte of a page's first response
// to the first byte of the same page from memcached. The visitor requests it again and
// again without a pause. Responses by uwgate have a Cache-Status.
func (b *bench) hits(ctx context.Context) ([]finding, error) {
	s, err := stack.Start(ctx, stack.Config{Binary: b.lab.uwgate, Backend: b.lab.worker.Addr, MemcachedSockets: true})
	if err != nil {
		return nil, err
	}
	delays, err := b.fill(ctx, s)
	if err = errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	const work = "through nginx: cold page's last byte → the next visitor's hit"
	return []finding{
		delayFinding(work, "p50", quantile(delays, 0.5), time.Millisecond, ""),
		delayFinding(work, "p99", quantile(delays, 0.99), 5*time.Millisecond, ""),
	}, nil
}

func (b *bench) fill(ctx context.Context, s *stack.Stack) ([]time.Duration, error) {
	visitor := &http.Client{Transport: &http.Transport{}}
	defer visitor.CloseIdleConnections()
	var delays []time.Duration
	for range b.pages {
		took, err := untilHit(ctx, visitor, s.URL(fmt.Sprintf("/store/4096/%09d", b.lab.serial.Add(1))))
		if err != nil {
			return nil, err
		}
		delays = append(delays, took)
	}
	return delays, nil
}

// untilHit requests a new page and returns how long it took until it was a hit.
func untilHit(ctx context.Context, visitor *http.Client, url string) (time.Duration, error) {
	cold, err := get(ctx, visitor, url)
	if err != nil {
		return 0, err
	}
	if !cold.fromWorker {
		return 0, fmt.Errorf("bench: %s is in memcached before its first request", url)
	}
	for asked := 0; ; asked++ {
		again, err := get(ctx, visitor, url)
		switch {
		case err != nil:
			return 0, err
		case !again.fromWorker:
			return again.first.Sub(cold.last), nil
		case again.last.Sub(cold.last) > patience:
			return 0, fmt.Errorf("bench: %s is not stored after %d requests", url, asked)
		}
	}
}

// A got says where a page came from, and when.
type got struct {
	fromWorker  bool // and not from memcached
	first, last time.Time
}

// get requests a page from nginx, over a kept connection.
func get(ctx context.Context, visitor *http.Client, url string) (g got, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return g, err
	}
	resp, err := visitor.Do(req)
	if err != nil {
		return g, fmt.Errorf("bench: through nginx: %w", err)
	}
	defer resp.Body.Close()
	g.first = time.Now()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return g, fmt.Errorf("bench: through nginx: %w", err)
	}
	g.last = time.Now()
	g.fromWorker = resp.Header.Get("Cache-Status") != ""
	if resp.StatusCode != http.StatusOK {
		return g, fmt.Errorf("bench: %s: %s", url, resp.Status)
	}
	return g, nil
}
