//go:build linux

package main

import (
	"fmt"
	"strconv"
)

// runChild does what the benchmark starts itself for. It reports false if that is
// nothing that the arguments name.
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
