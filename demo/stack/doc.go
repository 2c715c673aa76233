// Package stack runs the demo site, or another WSGI application, on real servers, on
// loopback and in a folder of its own: memcached, uWSGI, uwgate and nginx.
//
//	s, err := stack.Start(ctx, stack.Config{Binary: "bin/uwgate"})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//	resp, err := http.Get(s.URL("/articles/"))
//
// Each program is a [Process] that can be stopped, killed, paused and started again
// on its old address. They end with the program that started them, also when that
// one is killed.
//
// It runs what is installed and installs nothing; demo/install does that.
package stack
