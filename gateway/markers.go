package gateway

import (
	"hash/maphash"
	"net/http"
	"time"

	"uwgate/gateway/policy"
)

// A marker says what is known of a key whose pages cannot be shared. Most markers are
// uncacheable markers, which other caches call hit-for-miss.
type marker uint8

const (
	unmarked marker = iota

	// apart: no request waits for the page of another, since that takes too long or is
	// only observed. The page may still be stored.
	apart

	// uncacheable: the last response could not be stored. No request waits for another,
	// and the worker gets the client's Accept-Encoding and conditions.
	uncacheable

	// uncacheableWhole is uncacheable for a reason that an encoded response hides: its
	// head cannot show that the page has become cacheable.
	uncacheableWhole
)

// markers are the markers of keys. Each lasts for markerLife. Every request may set a new
// one, so their memory and the cost of each are fixed: only hashes are kept, and a new
// marker replaces the oldest in the places where it may be. A key that has lost its marker
// gets another with the next response.
//
// A key has one marker for strangers and one for all others: what a visitor's own cookies
// cause says nothing about strangers. The zero value is ready; it is not safe for
// concurrent use.
type markers struct {
	seed  maphash.Seed
	begun time.Time
	table *[maxMarkers / markerPlaces][markerPlaces]markedKey // nil: there was none yet
}

// A marked is a key with its mark. One whose time is up is a free place.
type markedKey struct {
	hash  uint64        // with the marker in its last bits
	until time.Duration // since begun
}

const (
	markerLife   = 30 * time.Second
	maxMarkers   = 16384
	markerPlaces = 4 // of one key
	markerBits   = 3 // the last bits of a hash, which hold the marker
)

// set gives a key a marker.
func (s *markers) set(key string, stranger bool, m marker, now time.Time) {
	if s.table == nil {
		s.seed, s.begun = maphash.MakeSeed(), now
		s.table = new([maxMarkers / markerPlaces][markerPlaces]markedKey)
	}
	places, hash := s.places(key, stranger)
	oldest := &places[0]
	for i := range places {
		if p := &places[i]; p.hash&^markerBits == hash {
			oldest = p
			break
		} else if p.until < oldest.until {
			oldest = p
		}
	}
	*oldest = markedKey{hash | uint64(m), now.Sub(s.begun) + markerLife}
}

// clear removes the markers of a key.
func (s *markers) clear(key string) {
	for _, stranger := range []bool{true, false} {
		if p := s.find(key, stranger); p != nil {
			*p = markedKey{}
		}
	}
}

// of returns the marker of a key.
func (s *markers) of(key string, stranger bool, now time.Time) marker {
	p := s.find(key, stranger)
	if p == nil || p.until <= now.Sub(s.begun) {
		return unmarked
	}
	return marker(p.hash & markerBits)
}

// find returns nil if the key has no place.
func (s *markers) find(key string, stranger bool) *markedKey {
	if s.table == nil {
		return nil
	}
	places, hash := s.places(key, stranger)
	for i := range places {
		if places[i].hash&^markerBits == hash {
			return &places[i]
		}
	}
	return nil
}

// places returns where the marker of a key may be, and its hash without the last bits.
func (s *markers) places(key string, stranger bool) (places *[markerPlaces]markedKey, hash uint64) {
	hash = maphash.String(s.seed, key)
	if !stranger {
		hash = ^hash
	}
	return &s.table[hash>>32%uint64(len(s.table))], hash &^ markerBits
}

// markHead marks the key if the head of the response shows that the page cannot be
// stored. A 5xx says nothing about the page. Nor does what only the client's own
// Accept-Encoding and conditions have caused: a marker must end, so that a page that has
// become cacheable is requested in a form that can be stored.
func (x *exchange) markHead(now time.Time) {
	reason := x.page.verdict.Reason
	switch {
	case x.page.plan.Reason != "", x.page.verdict.Store(), x.page.resp.StatusCode >= 500:
		return
	case x.page.isWanted(): // and only observed
		if x.client.presence.flight != nil {
			x.g.flights.setMarker(x.page.plan.Key, x.page.stranger, apart)
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

// unmarkEncoded removes the markers of a page whose encoding alone was in the way, so that
// it is requested in a form that can be stored.
func (x *exchange) unmarkEncoded() {
	if x.g.flights.markerOf(x.page.plan.Key, x.page.stranger) == uncacheable {
		x.g.flights.clearMarkers(x.page.plan.Key)
	}
}

// uncacheableFor is the marker for a refusal that a head has shown.
func uncacheableFor(reason policy.Reason) marker {
	switch reason {
	case policy.NoLength, policy.TooLarge, policy.Empty:
		return uncacheableWhole
	}
	return uncacheable
}

// mark sets the marker for requests like x. What credentials have caused says nothing about
// others.
func (x *exchange) mark(m marker) {
	if !x.page.plan.Alone {
		x.g.flights.setMarker(x.page.plan.Key, x.page.stranger, m)
	}
}

// markEnd marks the key if the end of the body has shown that the page cannot be stored,
// and removes its markers if it could.
func (x *exchange) markEnd(reason policy.Reason) {
	switch reason {
	case policy.Purged, policy.Truncated, policy.Reloaded, policy.CaptureFull:
	case "", policy.StoreFull, policy.StoreDown:
		if x.page.verdict.Store() {
			x.g.flights.clearMarkers(x.page.plan.Key)
		}
	default:
		x.mark(uncacheableWhole)
	}
}

// askAsSent leaves the client's Accept-Encoding and conditions in a request that goes alone
// for a page that is not expected to be stored.
func (x *exchange) askAsSent() {
	if !x.isVisit() || x.page.plan.Reason != "" || x.page.plan.Bypass || x.client.presence.flight != nil || x.g.flights.markerOf(x.page.plan.Key, x.page.stranger) < uncacheable {
		return
	}
	x.page.plan.AsSent = true
	x.worker.compose(&x.page)
}
