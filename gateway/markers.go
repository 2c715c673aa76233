package gateway

import (
	"hash/maphash"
	"net/http"
	"time"

	"uwgate/gateway/policy"
)

// A mark says what is known of a key whose pages cannot be shared.
type mark uint8

const (
	unmarked mark = iota

	// apart: nobody waits for the page of another, which takes too long or is only
	// observed. It may still be stored.
	apart

	// uncacheable: the last response could not be stored. Nobody waits for another's,
	// and the worker gets the client's Accept-Encoding and conditions.
	uncacheable

	// uncacheableWhole is uncacheable for a reason that an encoded response hides: its
	// head cannot show that the page has become cacheable.
	uncacheableWhole
)

// The marks of keys last for markFor. There may be a new one with every request, so
// that their memory and what each costs is fixed: only hashes are kept, and of the
// places where a mark may be the oldest is taken. A key that lost its mark gets another
// with the next response.
//
// A key has a mark for strangers and one for all others: what a visitor's own cookies
// bring about says nothing of what strangers get.
type marks struct {
	seed  maphash.Seed
	begun time.Time
	table *[maxMarks / markPlaces][markPlaces]marked // nil: there was none yet
}

// A marked is a key with its mark. One whose time is up is a free place.
type marked struct {
	hash  uint64        // with the mark in its last bits
	until time.Duration // since begun
}

const (
	markFor    = 30 * time.Second
	maxMarks   = 16384
	markPlaces = 4 // of one key
	markBits   = 3 // the last bits of a hash, which hold the mark
)

// set marks a key.
func (s *marks) set(key string, stranger bool, m mark, now time.Time) {
	if s.table == nil {
		s.seed, s.begun = maphash.MakeSeed(), now
		s.table = new([maxMarks / markPlaces][markPlaces]marked)
	}
	places, hash := s.places(key, stranger)
	oldest := &places[0]
	for i := range places {
		if p := &places[i]; p.hash&^markBits == hash {
			oldest = p
			break
		} else if p.until < oldest.until {
			oldest = p
		}
	}
	*oldest = marked{hash | uint64(m), now.Sub(s.begun) + markFor}
}

// clear takes the marks off a key.
func (s *marks) clear(key string) {
	for _, stranger := range []bool{true, false} {
		if p := s.find(key, stranger); p != nil {
			*p = marked{}
		}
	}
}

// of returns the mark of a key.
func (s *marks) of(key string, stranger bool, now time.Time) mark {
	p := s.find(key, stranger)
	if p == nil || p.until <= now.Sub(s.begun) {
		return unmarked
	}
	return mark(p.hash & markBits)
}

// find returns nil if the key has no place.
func (s *marks) find(key string, stranger bool) *marked {
	if s.table == nil {
		return nil
	}
	places, hash := s.places(key, stranger)
	for i := range places {
		if places[i].hash&^markBits == hash {
			return &places[i]
		}
	}
	return nil
}

// places returns where the mark of a key may be, and its hash without the last bits.
func (s *marks) places(key string, stranger bool) (places *[markPlaces]marked, hash uint64) {
	hash = maphash.String(s.seed, key)
	if !stranger {
		hash = ^hash
	}
	return &s.table[hash>>32%uint64(len(s.table))], hash &^ markBits
}

// markHead marks the key if the head of the response shows that the page cannot be
// stored. A 5xx says nothing of the page. Nor does what only the client's own
// Accept-Encoding and conditions have brought about: a mark must end, so that a page
// that has become cacheable is asked for in a form that can be stored.
func (x *exchange) markHead(now time.Time) {
	reason := x.page.verdict.Reason
	switch {
	case x.page.plan.Reason != "", x.page.verdict.Store(), x.page.resp.StatusCode >= 500:
		return
	case x.page.isWanted(): // and only observed
		if x.client.presence.flight != nil {
			x.g.flights.setMark(x.page.plan.Key, x.page.stranger, apart)
		}
		return
	case x.page.plan.AsSent && x.page.resp.StatusCode == http.StatusNotModified:
		return
	case x.page.plan.AsSent && reason == policy.ContentEncoding:
		plain := x.page.policy.Unencoded(x.client.received, x.page.plan, x.page.resp, now)
		if plain.TTL > 0 {
			x.unmarkEncoded()
			return
		}
		reason = plain.Reason
	}
	x.mark(uncacheableFor(reason))
}

// unmarkEncoded has the page asked for in a form that can be stored, now that its head
// shows nothing else against that.
func (x *exchange) unmarkEncoded() {
	if x.g.flights.markOf(x.page.plan.Key, x.page.stranger) == uncacheable {
		x.g.flights.clearMarks(x.page.plan.Key)
	}
}

// uncacheableFor is the mark for a refusal that a head has shown.
func uncacheableFor(reason policy.Reason) mark {
	switch reason {
	case policy.NoLength, policy.TooLarge, policy.Empty:
		return uncacheableWhole
	}
	return uncacheable
}

// mark marks the key for those who ask like x. What credentials have brought about
// says nothing of others.
func (x *exchange) mark(m mark) {
	if !x.page.plan.Alone {
		x.g.flights.setMark(x.page.plan.Key, x.page.stranger, m)
	}
}

// markEnd marks the key if the end of the body has shown that the page cannot be
// stored, and takes its marks off if it could.
func (x *exchange) markEnd(reason policy.Reason) {
	switch reason {
	case policy.Purged, policy.Truncated, policy.Reloaded, policy.CaptureFull:
	case "", policy.StoreFull, policy.StoreDown:
		if x.page.verdict.Store() {
			x.g.flights.clearMarks(x.page.plan.Key)
		}
	default:
		x.mark(uncacheableWhole)
	}
}

// askAsSent leaves the client's Accept-Encoding and conditions in the request of one
// who asks alone for what is not expected to be stored.
func (x *exchange) askAsSent() {
	if !x.isVisit() || x.page.plan.Reason != "" || x.page.plan.Bypass || x.client.presence.flight != nil || x.g.flights.markOf(x.page.plan.Key, x.page.stranger) < uncacheable {
		return
	}
	x.page.plan.AsSent = true
	x.worker.compose(&x.page)
}
