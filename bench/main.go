//go:build linux

// The benchmark has uWSGI's FastRouter, uwgate and a bare relay do the same work in
// turns, and tells what that costs. `make bench` builds and starts it, and it writes
// docs/performance.md.
//
// It starts itself again for the worker and the relays.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if ran, err := runChild(os.Args[1:]); ran {
		exitOn(err)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exitOn(run(ctx, parseFlags(), os.Stdout))
}

func exitOn(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// parseFlags reads the command line. What was not measured whole is not written.
func parseFlags() options {
	var o options
	quick := flag.Bool("quick", false, "measure everything for a moment, to see that it works; writes nothing")
	flag.StringVar(&o.uwgate, "uwgate", "bin/uwgate", "`PATH` of the gateway to measure")
	flag.StringVar(&o.docs, "docs", "", "write performance.md and its plot to this `FOLDER`")
	flag.StringVar(&o.only, "only", "", "measure only what has this `TEXT` in its name; writes nothing")
	flag.IntVar(&o.rounds, "rounds", 5, "`NUMBER` of rounds")
	flag.Parse()
	o.effort = thorough
	if *quick {
		o.effort = hasty
	}
	if *quick || o.only != "" {
		o.docs = ""
	}
	return o
}
