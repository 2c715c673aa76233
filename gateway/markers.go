package gateway

import (
	"hash/maphash"
	"time"
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
