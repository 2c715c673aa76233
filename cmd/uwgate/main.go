// Uwgate sits between nginx and uWSGI and fills the memcached that nginx
// serves pages from. See the README.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal does not wait for the drain.
	context.AfterFunc(ctx, stop)
	if err := newApp(os.Stdin, os.Stdout).RunContext(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "uwgate:", err)
		os.Exit(1)
	}
}
