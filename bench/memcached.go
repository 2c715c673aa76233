//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// askMemcached sends a command to the lab's memcached.
func (l *lab) askMemcached(command string) (net.Conn, *bufio.Reader, error) {
	nc, err := net.Dial("unix", l.path("memcached.sock"))
	if err != nil {
		return nil, nil, fmt.Errorf("bench: memcached: %w", err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, command+"\r\n"); err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("bench: memcached: %w", err)
	}
	return nc, bufio.NewReader(nc), nil
}

// sets returns the number of entries that memcached has stored so far.
func (l *lab) sets() (int, error) {
	nc, lines, err := l.askMemcached("stats")
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	for {
		line, err := lines.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "END" {
			return 0, fmt.Errorf("bench: memcached has no total_items in its stats: %w", err)
		}
		if n, ok := strings.CutPrefix(line, "STAT total_items "); ok {
			return strconv.Atoi(strings.TrimSpace(n))
		}
	}
}

// storedWithin is how long a page may take to memcached after its response has ended. It
// is long: this only decides whether the page is stored at all.
const storedWithin = 2 * time.Second

// stored returns the share of the responses since before that were stored.
func (l *lab) stored(before, responses int) (float64, error) {
	for until := time.Now().Add(storedWithin); ; time.Sleep(10 * time.Millisecond) {
		now, err := l.sets()
		if err != nil {
			return 0, err
		}
		if now-before >= responses || time.Now().After(until) {
			return float64(now-before) / float64(responses), nil
		}
	}
}
