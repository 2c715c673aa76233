//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// calls are system calls for one request, by name.
type calls map[string]float64

// canTrace reports whether system calls can be counted: strace may be missing, and a
// container may forbid it.
func canTrace() bool { return exec.Command("strace", "-c", "-o", os.DevNull, "true").Run() == nil }

// countCalls counts the system calls of each target of a trial. The load is light,
// because strace slows the targets down.
func (b *bench) countCalls(ctx context.Context, t *trial) (map[string]calls, error) {
	targets, err := b.launchAll(ctx, t)
	defer stopAll(targets)
	if err != nil {
		return nil, err
	}
	all := make(map[string]calls)
	for _, target := range targets {
		if err := b.send(t, target, 100); err != nil { // calls that are made only once are over
			return nil, err
		}
		if all[target.name], err = b.trace(t, target); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// trace counts system calls by strace while the target serves some requests.
func (b *bench) trace(t *trial, target *target) (calls, error) {
	file := b.lab.path("strace")
	args := []string{"-f", "-c", "-o", file}
	for _, pid := range target.group {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	strace := exec.Command("strace", args...)
	said, err := strace.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := strace.Start(); err != nil {
		return nil, fmt.Errorf("bench: strace: %w", err)
	}
	lines := bufio.NewScanner(said)
	lines.Scan() // strace says that it is attached
	go func() {
		for lines.Scan() {
		}
	}()
	err = b.send(t, target, b.traced)
	strace.Process.Signal(syscall.SIGINT)
	strace.Wait() // our signal ends it, so its exit status is not 0
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("bench: strace: %w", err)
	}
	return parseCalls(string(text), float64(b.traced)), nil
}

// parseCalls reads the table of strace -c, whose columns are
//
//	% time     seconds  usecs/call     calls    errors syscall
//
// The column errors is empty where there are none.
func parseCalls(text string, requests float64) calls {
	found := make(calls)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		n, err := strconv.Atoi(fields[3])
		name := fields[len(fields)-1]
		if err == nil && name != "total" {
			found[name] = float64(n) / requests
		}
	}
	return found
}

// callsTable has a line for each system call that a target makes at least once in
// twenty requests, the most frequent ones first.
func callsTable(all map[string]calls, among []string) table {
	most := make(calls)
	for _, c := range all {
		for name, n := range c {
			most[name] = max(most[name], n)
		}
	}
	names := slices.SortedFunc(maps.Keys(most), func(a, b string) int {
		return cmp.Or(cmp.Compare(most[b], most[a]), strings.Compare(a, b))
	})
	t := table{append([]string{"system calls a request"}, among...)}
	sums := make(calls)
	for _, name := range names {
		line := []string{name}
		for _, target := range among {
			sums[target] += all[target][name]
			line = append(line, fmt.Sprintf("%.2f", all[target][name]))
		}
		if most[name] >= 0.05 {
			t = append(t, line)
		}
	}
	last := []string{"all"}
	for _, target := range among {
		last = append(last, fmt.Sprintf("%.1f", sums[target]))
	}
	return append(t, last)
}
