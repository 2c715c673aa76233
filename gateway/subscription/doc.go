// Package subscription keeps the pools of uWSGI servers that announce themselves.
//
// A uWSGI server with subscribe-to or subscribe2 sends a datagram every ten seconds:
// it serves a key, which is usually a host, at an address. A [Registry] reads these
// datagrams, decides whether it admits the server, and keeps a [backend.Pool] for
// each key:
//
//	r := &subscription.Registry{
//		Admission: subscription.Admission{Keys: []string{"*.example.com"}},
//	}
//	go r.Serve(ctx, pc)
//	...
//	pool := r.Pool("www.example.com") // nil: no server has announced this key
//
// A datagram is checked in this order, the cheapest check first: the network of its
// source, the rate of its source, its format, its key and modifiers, its address, and
// its signature if there is a directory of public keys. A datagram that fails a check
// is refused: it changes only the [Stats], and at most once a second the log.
//
// Whoever can send a datagram can try to exhaust uwgate, so everything that datagrams
// can cause has a bound: the keys, the servers of a key, the datagrams a second from
// one source, the datagrams a second that are refused, and the signed times that are
// remembered. On Linux the kernel drops the datagrams of a source over its rate.
//
// A server is a member until it announces that it leaves, or until it was silent for
// the tolerance. Members only expire for their own silence: when uwgate itself did not
// read for a while (a paused machine, a flood), they get the whole tolerance again.
// A snapshot file keeps the members while uwgate restarts.
//
// The package leaves out what pools do: choice, health and queue are in package
// backend. It never looks up a name, and never sends anything but the acknowledgement
// that uWSGI asks for, which goes to UNIX sockets only.
package subscription
