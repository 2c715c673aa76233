//go:build linux

package main

import (
	"fmt"
	"strconv"
)

// runChild runs as the worker or a relay if the arguments say so, and reports whether
// they do.
func runChild(args []string) (ran bool, err error) {
	if len(args) < 3 {
		return false, nil
	}
	switch args[0] {
	case "relay":
		return true, runRelay(args[1:])
	case "worker", "raw-relay":
	default:
		return false, nil
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return true, fmt.Errorf("bench: backlog: %w", err)
	}
	if args[0] == "worker" {
		return true, runWorker(n, args[2:])
	}
	return true, runRawRelay(n, args[2], args[3])
}
