// Package backend connects to the uWSGI servers that do the work.
//
// A [Pool] holds the servers of one site. [Pool.Dial] chooses one, connects
// and, when that fails, goes on to the next, so that a server that is down
// costs a visitor nothing but the time of the failed connect:
//
//	pool, err := backend.NewPool("unix:/run/app-a.sock weight=2", "10.0.0.7:3031")
//	...
//	nc, node, err := pool.Dial(ctx, nil)
//	if errors.Is(err, backend.ErrUnavailable) {
//		// no server accepts connections: 503
//	}
//
// The choice is nginx's smooth weighted round robin. A server is ejected only
// because it did not accept a connection: whatever happens afterwards (a
// close without an answer, a reset, silence) may be a client's doing, since
// an oversized request or an exception in the application looks just so. An
// ejected server is tried again after a pause that doubles from one second to
// thirty, and at once when no other server is left.
//
// Connections serve one request each, as uWSGI's do, and none is opened
// before there is a request to send: an idle connection to a UNIX socket
// occupies a worker.
package backend
