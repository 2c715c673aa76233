// Package gateway takes requests from nginx, sends them to uWSGI servers, sends the responses
// back, and hands the pages that may be replayed to anyone to the store that nginx reads.
//
//	g := &gateway.Gateway{Backends: &backend.Pools{Default: pool}, Policy: rules, Store: writer}
//	err := g.Serve(ctx, listener) // returns after ctx is done and the last request has ended
//
// # The journey
//
// One request is an exchange. Its methods run, journey and conclude are the order of the
// steps, from top to bottom:
//
//	read     the packet, strictly framed
//	screen   choose the pool; drop or refuse what a worker must not see
//	plan     may the page be stored, and under which key; if not, why
//	body     read the whole upload before a worker is occupied, unless it is streamed
//	share    wait for the same page, if another request is fetching it; or lead
//	lock     in a fleet: wait for the gateway that is fetching it
//	forward  choose a server, send the request, read the head of the response
//	judge    by the head: how long may the page be stored, and for which reason
//	relay    head and body to nginx; captured alongside if the page is wanted
//	store    what is whole and wanted; it returns at once
//	record   one log line, counters
//
// A request that nobody sent goes the same way without a client: a refresh, which fetches a
// page again before it expires, and an explanation, which stores and deletes nothing.
//
// # Three values
//
// The steps change three values, by methods of these:
//
//   - client: the connection to nginx, what has come over it and what has been sent. Its
//     presence is whether nginx is still there, and what its leaving ends.
//   - worker: the server that is asked, the request as it gets it, and what it has sent.
//   - page: the plan, the verdict, the copy for the store, the lock.
//
// A flight is the fetch of one page that several requests share. It knows the client of its
// leader; followers see what the leader captures. Markers remember keys whose pages cannot be
// shared.
//
// # Goroutines
//
// Each connection has one goroutine, which Serve waits for. That goroutine waits for all that
// its request starts: one that reads from nginx during a streamed upload, one that sends a
// large spooled upload, those that delete or unlock in the background. One goroutine of Serve
// watches whether clients leave. Refresh runs the refreshes and waits for them. When a
// request's context ends, its connection to the worker is closed, which wakes whoever reads or
// writes there.
//
// # Failures
//
// A failure knows its act and its side: client, backend or gateway. The side decides the
// status, the level in the log, and whether a last good copy may take the place of the
// response. After the first byte to nginx there is no error response: the connection breaks
// off, so that nginx notices. The store cannot delay or spoil a response: it gets a copy of
// the body after nginx has the last byte, and what it does not take is counted.
//
// # What is left out
//
// The decisions are in package policy, the choice of servers in backend, announcements of
// servers in subscription, the schedule of refreshes in refresh, system calls in socket, the
// HTTP side in admin, the wire format in uwsgi, and memcached in cachewriter.
package gateway
