//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// storesPerSecond is the rate at which the store's delay is measured.
const storesPerSecond = 2000

// delay measures the time from a worker's last byte of a page until memcached has
// stored it. memcached reports that time, and the page contains the time when it was
// sent, right before its last byte.
func (b *bench) delay(ctx context.Context) ([]finding, error) {
	t, err := b.lab.launch(ctx, uwgate, onUnix)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	l, err := b.load(&storing)
	if err != nil {
		return nil, err
	}
	l.rate, l.window = storesPerSecond, 2*b.window
	w, err := b.lab.watchStores()
	if err != nil {
		return nil, err
	}
	got, err := t.run(l)
	if err != nil {
		return nil, err
	}
	stored := w.wait(got.begun)
	delays, err := b.lab.delays(stored)
	if err != nil {
		return nil, err
	}
	work := fmt.Sprintf("worker's last byte → in memcached, at %d stores/s", storesPerSecond)
	var spoiled string
	if missing := got.begun - len(delays); missing > 0 {
		spoiled = fmt.Sprintf("%d of %d pages not seen", missing, got.begun)
	}
	return []finding{
		delayFinding(work, "p50", quantile(delays, 0.5), time.Millisecond, spoiled),
		delayFinding(work, "p99", quantile(delays, 0.99), 5*time.Millisecond, spoiled),
	}, nil
}

func delayFinding(work, what string, value, bound time.Duration, spoiled string) finding {
	return finding{
		work: work, what: what, ours: asDuration(float64(value)),
		value: float64(value), bound: float64(bound), text: asDuration, spoiled: spoiled,
	}
}

// A storeWatch collects which page memcached stores when.
type storeWatch struct {
	found chan stored
	close func() error
}

// A stored is the arrival of a page in memcached.
type stored struct {
	key string
	at  time.Time
}

// watchStores starts to collect.
func (l *lab) watchStores() (*storeWatch, error) {
	nc, lines, err := l.askMemcached("watch mutations")
	if err != nil {
		return nil, err
	}
	ok, err := lines.ReadString('\n')
	if err != nil || strings.TrimSpace(ok) != "OK" {
		nc.Close()
		return nil, fmt.Errorf("bench: memcached refused `watch mutations`: %q: %w", ok, err)
	}
	w := &storeWatch{found: make(chan stored, 1<<16), close: nc.Close}
	go w.read(lines)
	return w, nil
}

func (w *storeWatch) read(lines *bufio.Reader) {
	defer close(w.found)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		if s, ok := parseStored(line); ok {
			w.found <- s
		}
	}
}

// wait returns the first n, or fewer if no more arrive.
func (w *storeWatch) wait(n int) []stored {
	defer w.close()
	var all []stored
	for len(all) < n {
		select {
		case s, ok := <-w.found:
			if !ok {
				return all
			}
			all = append(all, s)
		case <-time.After(storedWithin):
			return all
		}
	}
	return all
}

// parseStored reads a line of `watch mutations`, such as
//
//	ts=1795502884.403992 gid=2 type=item_store key=%2Fa status=stored cmd=set ttl=60 clsid=1 cfd=24 size=2
//
// ok is false for other lines.
func parseStored(line string) (s stored, ok bool) {
	fields := make(map[string]string)
	for word := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(word, "=")
		fields[name] = value
	}
	if fields["type"] != "item_store" || fields["status"] != "stored" {
		return s, false
	}
	seconds, micros, _ := strings.Cut(fields["ts"], ".")
	sec, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return s, false
	}
	µs, err := strconv.ParseInt(micros, 10, 64)
	if err != nil {
		return s, false
	}
	s.key, err = url.PathUnescape(fields["key"])
	s.at = time.Unix(sec, µs*1000)
	return s, err == nil
}

// delays returns the time that each page took. It reads the stamps of the stored pages. A
// page may be gone again: uwgate deletes one whose set was not confirmed in time.
func (l *lab) delays(all []stored) ([]time.Duration, error) {
	c := memcache.New(l.path("memcached.sock"))
	c.Timeout = patience
	defer c.Close()
	delays := make([]time.Duration, 0, len(all))
	for _, s := range all {
		item, err := c.Get(s.key)
		if errors.Is(err, memcache.ErrCacheMiss) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("bench: stored page %s: %w", s.key, err)
		}
		sent, err := readStamp(item.Value)
		if err != nil {
			return nil, err
		}
		delays = append(delays, s.at.Sub(sent))
	}
	return delays, nil
}
