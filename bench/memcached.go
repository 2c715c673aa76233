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

// sets is how many entries memcached has been given so far.
func (l *lab) sets() (int, error) {
	nc, lines, err := l.askMemcached("stats")
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	for {
		line, err := lines.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "END" {
			return 0, fmt.Errorf("bench: memcached tells no total_items: %w", err)
		}
		if n, ok := strings.CutPrefix(line, "STAT total_items "); ok {
			return strconv.Atoi(strings.TrimSpace(n))
		}
	}
}

// storedWithin is how long a page may be on its way when its answer is through. It is
// much, since only its being stored at all is in question.
const storedWithin = 2 * time.Second

// stored is the share of so many answers that have been stored since before.
func (l *lab) stored(before, answers int) (float64, error) {
	for until := time.Now().Add(storedWithin); ; time.Sleep(10 * time.Millisecond) {
		now, err := l.sets()
		if err != nil {
			return 0, err
		}
		if now-before >= answers || time.Now().After(until) {
			return float64(now-before) / float64(answers), nil
		}
	}
}
