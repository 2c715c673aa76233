//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A group contains a program's processes: the first one and its children.
type group []int

// groupOf finds the processes of the process group with that number.
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

// groupField returns the process group in /proc/PID/stat.
func groupField(stat []byte) (int, bool) {
	fields := statFields(stat)
	if len(fields) < 3 {
		return 0, false
	}
	n, err := strconv.Atoi(fields[2])
	return n, err == nil
}

// statFields returns the fields of /proc/PID/stat from the third one. The second is a
// name, which may contain anything.
func statFields(stat []byte) []string {
	at := bytes.LastIndexByte(stat, ')')
	if at < 0 {
		return nil
	}
	return strings.Fields(string(stat[at+1:]))
}

// A usage is CPU time: of a target, of the load generator and of the worker.
type usage struct {
	cpu, user, system time.Duration // cpu is exact; the others to some hundredths of a second
	load, worker      time.Duration
}

func (u usage) since(before usage) usage {
	return usage{u.cpu - before.cpu, u.user - before.user, u.system - before.system, u.load - before.load, u.worker - before.worker}
}

// inKernel is the part of cpu that was spent in the kernel.
func (u usage) inKernel() time.Duration {
	if u.user+u.system == 0 {
		return 0
	}
	return time.Duration(float64(u.cpu) * float64(u.system) / float64(u.user+u.system))
}

// cpu is the user and system time of all threads so far, including those that have
// ended.
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

// cpuClock is the clock of clock_getcpuclockid(3). /proc/PID/stat has the same time in
// hundredths of a second.
func cpuClock(pid int) int32 { return int32(^pid<<3 | 2) }

// ticks returns user and system time so far. The kernel samples them a hundred times a
// second.
func (g group) ticks() (user, system time.Duration, err error) {
	for _, pid := range g {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, 0, fmt.Errorf("bench: CPU time: %w", err)
		}
		u, s, ok := tickFields(text)
		if !ok {
			return 0, 0, fmt.Errorf("bench: no CPU time in /proc/%d/stat", pid)
		}
		user, system = user+u, system+s
	}
	return user, system, nil
}

// tickFields returns utime and stime of /proc/PID/stat.
func tickFields(stat []byte) (user, system time.Duration, ok bool) {
	fields := statFields(stat)
	if len(fields) < 13 {
		return 0, 0, false
	}
	u, err := strconv.Atoi(fields[11])
	s, err2 := strconv.Atoi(fields[12])
	const unit = time.Second / 100
	return time.Duration(u) * unit, time.Duration(s) * unit, errors.Join(err, err2) == nil
}

// resident returns the resident memory in bytes.
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

// residentField returns VmRSS of /proc/PID/status in bytes.
func residentField(status []byte) (int64, bool) {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 10, 64)
			return n << 10, err == nil
		}
	}
	return 0, false
}
