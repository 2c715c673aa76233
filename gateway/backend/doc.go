// Package backend connects to the uWSGI servers that do the work.
//
// A [Pool] holds the servers of one application. [Pool.Dial] chooses one, waits
// in the queue while all are busy, connects and, when that fails, goes on to the
// next, so that a server that is down costs a visitor nothing but the time of
// the failed connect:
//
//	pool, err := backend.NewPool("unix:/run/app-a.sock weight=2 max-conns=8", "10.0.0.7:3031")
//	...
//	nc, err := pool.Dial(ctx, backend.Want{Host: "www.example.com"})
//	if errors.Is(err, backend.ErrUnavailable) {
//		// no server accepts connections: 503
//	}
//	defer nc.Close() // gives its place to the next request
//	nc.Report(backend.Answered)
//
// [Pools] pick the pool for a host. [Subscriptions] make the pools of servers that
// announce themselves.
//
// A server has two ways to lose its requests. One that does not accept a
// connection is ejected at once, and probed after a pause that doubles from one
// second to thirty. Whatever happens after the connect (a close without an
// answer, a reset, silence) may be a client's doing, since an oversized request
// or an exception in the application looks just so: several of these, with no
// answer between them, have the server probed, and only if it leaves the probes
// unanswered, too, it is ejected; never the last one, and never more than half
// of a pool. Ejected servers are asked when no other is left.
//
// The choice looks at a few nodes, however many there are: a heap holds those
// that may get a request, ordered by their place in the round or by the requests
// that they have. Everything that changes a node ends with settle, which puts it
// where it belongs, and everything that may free a place with dispatch, which
// gives it to who waits.
//
// Connections serve one request each, as uWSGI's do, and none is opened before
// there is a request to send: an idle connection to a UNIX socket occupies a
// worker.
package backend
