// The demo runs a small Django site behind nginx, uwgate and memcached, and shows what
// is stored.
//
//	make demo                                        until Ctrl-C
//	make demo-check                                  the checks only; exit status 0 or 1
//	make demo DEMO='-port 8080'                      on this port, and the ones after it
//	make demo DEMO=-observe                          uwgate decides, and stores nothing
//	make demo DEMO='-conf recipe -memcached 2'       the recipe of 2013, two memcached servers
//
// It requests a page twice, two pages that are not stored, and the first page again
// while uwgate and uWSGI are paused. Each time it finds out from the logs and from
// memcached where the page came from. Then it prints uwgate's access log.
//
// Package stack starts the servers; package site has the site.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"uwgate/demo/stack"
)

type options struct {
	uwgate    string
	conf      string
	memcached int
	hash      string
	format    string
	port      int
	observe   bool
	check     bool
}

func main() {
	// SIGPIPE: `demo | head` must stop the servers, too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
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
	flag.IntVar(&o.port, "port", 0, "`PORT` of nginx; uwgate's admin listener and memcached have the next ones; 0 for free ones")
	flag.BoolVar(&o.observe, "observe", false, "run uwgate with --observe, without the checks: it decides, and stores nothing")
	flag.BoolVar(&o.check, "check", false, "stop after the checks; exit status 0 or 1")
	flag.Parse()
	return o
}

// run keeps the directory if something failed: the logs in it say why. What fails after ctx
// is done has no other cause.
func run(ctx context.Context, o options, p *page) error {
	if _, err := os.Stat(o.uwgate); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no uwgate at %s: run `make build`, or give its path with -uwgate", o.uwgate)
	}
	dir, err := os.MkdirTemp("", "uwgate-demo-")
	if err != nil {
		return err
	}
	err = show(ctx, o, p, dir)
	if err == nil || ctx.Err() != nil {
		return errors.Join(ctx.Err(), os.RemoveAll(dir))
	}
	return fmt.Errorf("%w\n\nThe logs are in %s", err, dir)
}

// show starts everything, runs the checks, and stops everything.
func show(ctx context.Context, o options, p *page, dir string) (err error) {
	p.title("uwgate demo: nginx, uwgate, uWSGI with Django, and memcached")
	control, err := newControl(dir)
	if err != nil {
		return err
	}
	args := control.args
	if o.observe {
		args = append(args, "--observe")
	}
	s, err := stack.Start(ctx, stack.Config{
		Dir: dir, Binary: o.uwgate, Conf: o.conf, Memcached: o.memcached, Hash: o.hash, Format: o.format, Purges: o.conf == "recommended",
		Port: o.port, Args: args,
	})
	if err != nil {
		return err
	}
	if err := control.write(s.Admin); err != nil {
		return errors.Join(err, s.Close())
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p.programs(s, o.conf)

	if !o.observe {
		if err := newStory(s, o.hash, p).run(ctx); err != nil {
			return err
		}
	}
	if o.check {
		p.line("All checks passed.")
		return nil
	}
	p.whatToTry(s, control, o.uwgate)
	err = follow(ctx, s, p)
	p.line("\nStopping everything and removing the directory.")
	return err
}

// A control is how commands such as `uwgate status` reach the gateway: a configuration file
// with its admin address, and a token.
type control struct {
	file string
	args []string // of serve
}

func newControl(dir string) (*control, error) {
	token := filepath.Join(dir, "admin-token")
	if err := os.WriteFile(token, []byte(rand.Text()+"\n"), 0o600); err != nil {
		return nil, err
	}
	return &control{file: filepath.Join(dir, "uwgate.yaml"), args: []string{"--admin-token-file", token}}, nil
}

// write writes the configuration file.
func (c *control) write(admin string) error {
	return os.WriteFile(c.file, fmt.Appendf(nil, "admin: %s\nadmin-token-file: %s\n", admin, c.args[1]), 0o600)
}
