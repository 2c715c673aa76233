// Package backend connects to the uWSGI servers that run the application.
//
// A [Pool] holds the servers of one application. [Pool.Dial] chooses a server, waits in
// a queue while all servers are busy, and connects. When that fails it tries the next
// server, so a server that is down costs a visitor no more than one failed connect:
//
//	pool, err := backend.NewPool("unix:/run/app-a.sock weight=2 max-conns=8", "10.0.0.7:3031")
//	...
//	nc, err := pool.Dial(ctx, backend.Want{Host: "www.example.com"})
//	if errors.Is(err, backend.ErrUnavailable) {
//		// no server accepts connections: 503
//	}
//	defer nc.Close() // frees the server's place for the next request
//	nc.Report(backend.Responded)
//
// [Pools] choose the pool for a host. [Pools.Replace] and [Pools.Load] exchange pools
// while requests are in flight: a server that stays keeps its health and its requests.
//
// A server stops getting requests in two ways. A server that does not accept a
// connection is ejected at once. It is probed after a pause that doubles from 1 s to
// 30 s. Whatever happens after the connect (a close without a response, a reset,
// silence) may be caused by a client: an oversized request or an exception in the
// application looks the same. So only several such outcomes, without a response between
// them, start probes, and the server is ejected when it leaves the probes unanswered
// too. The last server, and more than half of a pool, is never ejected that way. Ejected
// servers are tried when no other is left.
//
// The choice looks at few nodes, however many there are: a heap holds those that may
// get a request, ordered by their turn or by the requests that they have. Every change
// of a node ends with settle, which moves the node to its place in the heap. Every
// change that may free a place ends with dispatch, which gives it to a waiting request.
//
// A connection serves one request, as in uWSGI. The pool opens none in advance, because
// an idle connection to a UNIX socket occupies a worker.
//
// The package leaves out what is sent over the connections (except probes), and which
// requests may be retried after a server has seen them: [Pool.TakeRetry] only keeps the
// budget. Servers that announce themselves are in package subscription.
package backend
