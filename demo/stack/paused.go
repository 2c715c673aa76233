package stack

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// awaitPaused waits until each thread of a process group has stopped: a thread that is
// running may continue for a moment after the signal. On a system without /proc it
// does not wait.
func awaitPaused(group int) error {
	deadline := time.Now().Add(StopTimeout)
	for !isPaused(group) {
		if time.Now().After(deadline) {
			return fmt.Errorf("its threads have not all stopped within %v", StopTimeout)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

func isPaused(group int) bool {
	return !slices.ContainsFunc(states(group), func(state string) bool { return state != "T" && state != "Z" })
}

// isDead reports whether all processes of a group are zombies. They hold no socket, but
// it may take a second or two until they are reaped. On a system without /proc it
// reports false.
func isDead(group int) bool {
	all := states(group)
	return len(all) > 0 && !slices.ContainsFunc(all, func(state string) bool { return state != "Z" })
}

// states returns the state of each thread of a process group.
func states(group int) (all []string) {
	threads, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*/stat")
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if state, g := stateOf(stat); g == group {
			all = append(all, state)
		}
	}
	return all
}

// stateOf reads the state and the process group from a line of proc(5)'s stat. The name
// before them may contain anything, also parentheses.
func stateOf(stat []byte) (state string, group int) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 3 {
		return "", 0
	}
	group, _ = strconv.Atoi(string(fields[2]))
	return string(fields[0]), group
}
