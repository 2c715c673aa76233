// The demo runs a small Django site behind nginx, uwgate and memcached, and shows what
// is stored.
//
//	make demo                                        until Ctrl-C
//	make demo-check                                  the checks only; exit status 0 or 1
//	make demo DEMO='-conf recipe -memcached 2'       the recipe of 2013, two memcached servers
//
// It requests a page twice, a page that must not be stored, and the first page again
// while uwgate and uWSGI are paused. Each time it finds out from the logs and from
// memcached where the page came from. Then it prints uwgate's access log.
//
// Package stack starts the servers; package site has the site.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"uwgate/demo/stack"
)

type options struct {
	uwgate    string
	conf      string
	memcached int
	hash      string
	format    string
	check     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, parseFlags(), newPage(os.Stdout))
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func parseFlags() options {
	var o options
	flag.StringVar(&o.uwgate, "uwgate", "bin/uwgate", "`PATH` of the gateway to run")
	flag.StringVar(&o.conf, "conf", "recommended", "nginx's configuration: recommended, recipe, or the `PATH` of a template")
	flag.IntVar(&o.memcached, "memcached", 1, "`NUMBER` of memcached servers")
	flag.StringVar(&o.hash, "hash", "consistent", "how one of several servers is chosen: consistent, modulo or none")
	flag.StringVar(&o.format, "format", "body", "what is stored: body, gzip or http")
	flag.BoolVar(&o.check, "check", false, "stop after the checks; exit status 0 or 1")
	flag.Parse()
	return o
}

// run keeps the directory if something failed: the logs in it say why.
func run(ctx context.Context, o options, p *page) error {
	if _, err := os.Stat(o.uwgate); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no uwgate at %s: run `make build`, or give its path with -uwgate", o.uwgate)
	}
	dir, err := os.MkdirTemp("", "uwgate-demo-")
	if err != nil {
		return err
	}
	err = show(ctx, o, p, dir)
	if err == nil || errors.Is(err, context.Canceled) {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return fmt.Errorf("%w\n\nThe logs are in %s", err, dir)
}

// show starts everything, runs the checks, and stops everything.
func show(ctx context.Context, o options, p *page, dir string) (err error) {
	p.title("uwgate demo: nginx, uwgate, uWSGI with Django, and memcached")
	s, err := stack.Start(ctx, stack.Config{
		Dir: dir, Binary: o.uwgate, Conf: o.conf, Memcached: o.memcached, Hash: o.hash, Format: o.format, Purges: o.conf == "recommended",
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p.programs(s, o.conf)

	if err := newStory(s, o.hash, p).run(ctx); err != nil {
		return err
	}
	if o.check {
		p.line("All checks passed.")
		return nil
	}
	p.whatToTry(s)
	err = follow(ctx, s, p)
	p.line("\nStopping everything and removing the directory.")
	return err
}
