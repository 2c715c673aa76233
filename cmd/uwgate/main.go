// Uwgate sits between nginx and uWSGI and fills the memcached that nginx
// serves pages from. See the README.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal does not wait for the drain.
	context.AfterFunc(ctx, stop)
	var untried *untriedError
	switch err := newApp(os.Stdin, os.Stdout).RunContext(ctx, os.Args); {
	case errors.Is(err, errNotStored):
		os.Exit(3)
	case errors.Is(err, errOff):
		os.Exit(1)
	case errors.As(err, &untried):
		fmt.Fprintln(os.Stderr, "uwgate:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "uwgate:", err)
		os.Exit(1)
	}
}
