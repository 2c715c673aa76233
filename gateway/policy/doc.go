// Package policy decides what of a uwsgi server's answers nginx may replay
// from memcached: under which key, for how long, and if not, why.
//
// Everything here is a pure function of the request's vars, the response's
// head and the time: no clock, no I/O, no logging. A request is judged in four
// steps, between which the caller does the talking:
//
//	clean, dropped, err := firewall.Screen(received) // what a worker may see
//	plan := rules.Request(received)                  // candidate under a key, or a reason why not
//	vars := rules.ForWorker(clean, plan)             // what the worker is asked
//	verdict := rules.Response(received, plan, response, time.Now())
//	reason := rules.Body(response, body, whole, trailers) // after the last byte
//	ttl := rules.Spread(verdict, rand.Float64())
//
// Explain goes through the same steps for people, and stops at nothing;
// Invalidated names the entries that a POST or the like makes untrue.
//
// The key is nginx's $memcached_key: handed over by nginx in a var, or derived
// by a Template in nginx's own syntax, rendered as nginx would. A page is
// stored only under a key that nginx is known to have asked for in vain.
//
// A page in memcached has a body and nothing else. So besides RFC 9111 there
// is the lossless guard: what a hit cannot carry must not matter, and the
// Content-Type must be the one that nginx emits for that path anyway. Headers
// fall in three classes: without some the page is not stored, some are lost but
// worth a word to the operator (Lost), and nobody misses the rest.
//
// A candidate is asked for in full, whatever its client has already; NotModified
// then tells whether a 304 is all that the client needs.
//
// Left out: escaping the key for the wire and choosing the server (package
// cachewriter), limits and modifiers of the packet (package uwsgi).
package policy
