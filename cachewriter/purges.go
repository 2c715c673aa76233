package cachewriter

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// purges remembers when keys were last deleted, so that a page that was already
// being made then is not stored afterwards. Keys share 4096 places: a page whose
// key shares one with a deleted key is refused without need, once in a great
// while, and nothing grows. It is safe for concurrent use once seed is set.
type purges struct {
	seed maphash.Seed
	at   [4096]atomic.Pointer[time.Time]
}

func (p *purges) place(key string) *atomic.Pointer[time.Time] {
	return &p.at[maphash.String(p.seed, key)%uint64(len(p.at))]
}

// note records that the key is being deleted.
func (p *purges) note(key string, now time.Time) { p.place(key).Store(&now) }

// since reports whether the key was deleted at began or later.
func (p *purges) since(key string, began time.Time) bool {
	at := p.place(key).Load()
	return at != nil && !at.Before(began)
}
