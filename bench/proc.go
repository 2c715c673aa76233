//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A group is a program's processes: the first one and those that it has started.
type group []int

// groupOf finds the processes of the group that is named after that one.
func groupOf(pid int) (group, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var g group
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if of, ok := groupField(text); ok && of == pid {
			member, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			g = append(g, member)
		}
	}
	if len(g) == 0 {
		return nil, fmt.Errorf("bench: process %d has ended", pid)
	}
	return g, nil
}

// groupField is the process group in /proc/PID/stat. The second field is a name, which
// may contain anything.
func groupField(stat []byte) (int, bool) {
	at := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[at+1:]))
	if at < 0 || len(fields) < 3 {
		return 0, false
	}
	n, err := strconv.Atoi(fields[2])
	return n, err == nil
}

// cpu is what all threads have used so far, user and system, those that have ended
// included.
func (g group) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range g {
		var t unix.Timespec
		if err := unix.ClockGettime(cpuClock(pid), &t); err != nil {
			return 0, fmt.Errorf("bench: CPU time of process %d: %w", pid, err)
		}
		sum += time.Duration(t.Nano())
	}
	return sum, nil
}

// cpuClock is what clock_getcpuclockid(3) returns: /proc/PID/stat has the same in
// hundredths of a second.
func cpuClock(pid int) int32 { return int32(^pid<<3 | 2) }

// resident is the memory that is in use, in bytes.
func (g group) resident() (int64, error) {
	var sum int64
	for _, pid := range g {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, fmt.Errorf("bench: memory: %w", err)
		}
		n, ok := residentField(text)
		if !ok {
			return 0, fmt.Errorf("bench: memory of process %d: no VmRSS", pid)
		}
		sum += n
	}
	return sum, nil
}

// residentField is VmRSS of /proc/PID/status in bytes.
func residentField(status []byte) (int64, bool) {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}
