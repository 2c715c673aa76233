// Package policy decides which responses of uwsgi servers nginx may serve from
// memcached: under which key, for how long, and if not at all, why.
//
// It is a pure core: no I/O, no clock, no logging. Each decision is a function
// of the request's vars, the response's head and the time. The caller reads,
// writes and stores in between:
//
//	clean, dropped, err := firewall.Screen(received)      // what the worker may see
//	plan := rules.Request(received)                       // the key of a candidate, or why it is none
//	vars := rules.ForWorker(clean, plan)                  // the request for the worker
//	verdict := rules.Response(received, plan, resp, now)  // by the head
//	reason := rules.Body(resp, body, whole, trailers)     // after the last byte
//	ttl := rules.Spread(verdict, rand.Float64())          // how long to store it
//
// A Verdict is a lifetime and a Reason: one word, the same in log, metric and
// explanation. Yes has a reason, as no has. Explain runs the same steps for
// people and returns all reasons, not only the first.
//
// # The key
//
// The key is nginx's $memcached_key. nginx hands it over in a var, or a Template
// in nginx's own syntax renders it. A hit is served by its key alone, so the key
// must contain all that the application sees of the URL (determine.go), and a
// page is stored only if nginx is known to have looked up that key in vain.
//
// # Who asks
//
// A response without a lifetime of its own is stored only if it was made for a
// stranger. Visitors classifies what a request carries: a name in a table names
// a visitor, holds a token or is neutral; all other names are unknown.
//
// # What a hit lacks
//
// In FormatBody and FormatGzip a hit has the stored body and the headers of
// nginx's location. So its Content-Type must be the one that nginx sends for the
// path, and each other header is in one of three classes: it keeps the page out,
// or Lost returns it for a warning, or it does not matter.
//
// # Changes
//
// Invalidated and Doubtful name the entries that an unsafe request makes
// invalid, and Withdraws says that a response replaces its page by nothing. A
// candidate's request loses its conditions, so that the worker sends the whole
// page; NotModified says whether a 304 is enough for the client.
//
// Subject reads a key back: purges compare the host and the URI of stored pages.
// PageSubject says whether the key is enough, or they must be recorded.
//
// policy.go describes our stance where RFC 9111 leaves room. Package cachewriter
// escapes keys and chooses servers; package uwsgi limits packets.
package policy
