package policy

import "time"

// stale is for how long, over its lifetime, a page may be served: while it is fetched
// anew, and while that fails (RFC 5861). What the answer says counts before what the
// operator does, neither beyond MaxTTL; an answer that demands to be validated once it
// is stale (RFC 9111 §5.2.2.2, §5.2.2.8) has neither. CDN-Cache-Control speaks in
// the place of Cache-Control, where it is valid.
func (h *head) stale() (grace, ifError time.Duration) {
	cc := &h.cc
	if h.cdn.valid {
		cc = &h.cdn.words
	}
	if cc.mustRevalidate {
		return 0, 0
	}
	return h.p.Lifetimes.staleFor(cc.whileRevalidate, h.p.Lifetimes.Grace), h.p.Lifetimes.staleFor(cc.ifError, h.p.Lifetimes.StaleIfError)
}

func (l *Lifetimes) staleFor(said lifetime, otherwise time.Duration) time.Duration {
	if said.given {
		otherwise = said.duration()
	}
	return min(max(otherwise, 0), l.longest())
}
