package gateway

import (
	"hash/maphash"
	"time"
)

// The loners are the keys whose pages turned out not to be for everyone. There may be
// one for every request, so that their memory and what each costs is fixed: only hashes
// are kept, and of the places where one may be the oldest is taken. Whom that forgets
// is found out about again.
type loners struct {
	seed  maphash.Seed
	begun time.Time
	table *[maxAlone / lonerPlaces][lonerPlaces]loner // nil: there was none yet
}

// A loner is a key that is not waited for. One whose time is up is a free place.
type loner struct {
	hash  uint64
	until time.Duration // since begun
}

const (
	// aloneFor is how long a key whose page may not be shared is not waited for.
	aloneFor    = 30 * time.Second
	maxAlone    = 16384
	lonerPlaces = 4 // of one key
)

// add takes a key in.
func (s *loners) add(key string, now time.Time) {
	if s.table == nil {
		s.seed, s.begun = maphash.MakeSeed(), now
		s.table = new([maxAlone / lonerPlaces][lonerPlaces]loner)
	}
	places, hash := s.places(key)
	oldest := &places[0]
	for i := range places {
		if p := &places[i]; p.hash == hash {
			oldest = p
			break
		} else if p.until < oldest.until {
			oldest = p
		}
	}
	*oldest = loner{hash, now.Sub(s.begun) + aloneFor}
}

// remove takes a key out, if it is there.
func (s *loners) remove(key string) {
	if l := s.find(key); l != nil {
		*l = loner{}
	}
}

// has reports whether a key is there.
func (s *loners) has(key string, now time.Time) bool {
	l := s.find(key)
	return l != nil && l.until > now.Sub(s.begun)
}

// find returns nil if the key has no place.
func (s *loners) find(key string) *loner {
	if s.table == nil {
		return nil
	}
	places, hash := s.places(key)
	for i := range places {
		if places[i].hash == hash {
			return &places[i]
		}
	}
	return nil
}

func (s *loners) places(key string) (places *[lonerPlaces]loner, hash uint64) {
	hash = maphash.String(s.seed, key)
	return &s.table[hash%uint64(len(s.table))], hash
}
