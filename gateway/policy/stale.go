package policy

import "time"

// stale returns how long an expired page may be served while it is refreshed, and
// while that fails (RFC 5861). The response comes before the operator, and
// Lifetimes.Max limits both. Both are zero if the response requires validation of
// stale pages (RFC 9111 §5.2.2.2, §5.2.2.8). A valid CDN-Cache-Control replaces
// Cache-Control.
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
