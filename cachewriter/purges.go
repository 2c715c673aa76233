package cachewriter

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// purges remembers when keys were last deleted through this Writer. A page that was
// requested before is not stored. Keys share 4096 slots, so that it does not grow:
// once in a great while a page is refused because another key of its slot was
// deleted. It is safe for concurrent use once seed is set.
type purges struct {
	seed maphash.Seed
	at   [4096]atomic.Pointer[time.Time]
}

func (p *purges) slot(key string) *atomic.Pointer[time.Time] {
	return &p.at[maphash.String(p.seed, key)%uint64(len(p.at))]
}

// note records that the key is being deleted.
func (p *purges) note(key string, now time.Time) { p.slot(key).Store(&now) }

// since reports whether the key was deleted at began or later.
func (p *purges) since(key string, began time.Time) bool {
	at := p.slot(key).Load()
	return at != nil && !at.Before(began)
}
