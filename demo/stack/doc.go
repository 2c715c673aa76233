// Package stack runs the demo site, or another WSGI application, on real servers:
// memcached, uWSGI, uwgate and nginx. They listen on loopback and write to one directory.
//
//	s, err := stack.Start(ctx, stack.Config{Binary: "bin/uwgate"})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	resp, err := http.Get(s.URL("/articles/"))
//
// The demo and the tests of package integration use it. Each program is a [Process] that
// can be stopped, killed, paused and started again on its old address. On Linux they end
// with the program that started them, even if that one is killed.
//
// The package installs nothing; demo/install does that. If a server is missing, Start
// returns an error that wraps [ErrMissing].
package stack
