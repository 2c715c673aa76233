//go:build linux

// The benchmark compares uwgate with uWSGI's FastRouter and with bare relays.
//
//	make bench                                   ten minutes; writes docs/performance.md
//	make bench BENCH_ARGS='-quick -rounds 1'     a minute, to see that it works
//	make bench BENCH_ARGS='-only "not stored"'   a part of it
//
// A lab has a scripted worker and a memcached. The benchmark starts the targets one
// after the other between a load generator and that worker. A trial is one kind of
// work: in each round every target gets the same load, and a sample is taken of it. The
// figures are medians over the rounds. A claim compares a figure of uwgate with that of
// another target; a finding says whether it holds.
//
// Beside the trials there are the memory of waiting requests, the delay until a page is
// in memcached and until nginx serves it, the cost as things grow, and system calls.
// Profiles say where the time goes.
//
// The worker and the relays are processes of this program, too: it starts itself again.
// The worker, the load generator and the raw relay are loops over epoll in one thread,
// so that they use as little of the machine as they can.
//
// The benchmark does not measure nginx, Python or the network: all of it runs on one
// machine, over loopback and UNIX sockets.
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

// parseFlags reads the command line. A run that measures only a part writes no report.
func parseFlags() options {
	var o options
	quick := flag.Bool("quick", false, "measure everything briefly, to see that it works; writes nothing")
	flag.StringVar(&o.uwgate, "uwgate", "bin/uwgate", "`PATH` of the gateway to measure")
	flag.StringVar(&o.docs, "docs", "", "write performance.md and its plot to this `DIRECTORY`")
	flag.StringVar(&o.only, "only", "", "measure only the parts with this `TEXT` in their names; writes nothing")
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
