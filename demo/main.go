// The demo runs a small Django site behind nginx, uwgate and memcached, fetches a
// page twice and says what happened. `make demo` builds and starts it.
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
	flag.BoolVar(&o.check, "check", false, "stop after the story and exit with 0 or 1")
	flag.Parse()
	return o
}

// run keeps the folder when something failed: the logs in it say why.
func run(ctx context.Context, o options, p *page) error {
	if _, err := os.Stat(o.uwgate); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no uwgate at %s: run `make build`, or name it with -uwgate", o.uwgate)
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

// show starts everything, tells the story, and stops everything.
func show(ctx context.Context, o options, p *page, dir string) (err error) {
	p.title("uwgate demo: nginx, uwgate, uWSGI with Django, and memcached")
	s, err := stack.Start(ctx, stack.Config{
		Dir: dir, Binary: o.uwgate, Conf: o.conf, Memcached: o.memcached, Hash: o.hash, Format: o.format,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p.programs(s, o.conf)

	if err := newStory(s, o.hash, p).tell(ctx); err != nil {
		return err
	}
	if o.check {
		p.line("Everything went as it should.")
		return nil
	}
	p.whatToTry(s)
	err = follow(ctx, s, p)
	p.line("\nStopping everything and removing the folder.")
	return err
}
