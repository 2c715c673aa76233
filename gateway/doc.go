// Package gateway takes requests from nginx, has uWSGI servers answer them,
// and hands what is right to replay to the store that nginx reads.
//
// One request's journey is an exchange, and its run reads like this picture:
//
//	read     a uwsgi packet, strictly
//	screen   what a worker must never see is dropped or refused
//	plan     candidate for the store, under which key; or not, and why
//	forward  a backend is chosen; upload and answer run side by side
//	judge    the answer's head: for how long, and by which word of it
//	relay    head and body to nginx, captured alongside when wanted
//	store    what is whole and wanted; returns at once
//	record   one log line, counters
//
// The decisions are those of package policy, the connections those of packages
// backend and socket, the wire formats those of package uwsgi, and everything that
// concerns memcached is behind cachewriter. What is left here is order: who
// waits for whom, for how long, and whose fault it is when it goes wrong.
//
//	g := &gateway.Gateway{Backends: &backend.Pools{Default: pool}, Policy: rules, Firewall: firewall, Store: writer}
//	err := g.Serve(ctx, listener) // returns once ctx is done and the last request has ended
//
// The store can never hold up or spoil an answer: it gets a copy of the body
// after nginx has got the last byte, and what it cannot take is counted.
package gateway
