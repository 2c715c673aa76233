package gateway

import (
	"sync/atomic"
	"time"

	"uwgate/cachewriter"
)

// withdraw deletes the last good copy of a page that the response takes back, and the
// entries of the same URL for other classes of visitors. The page itself is not in
// memcached, or is the schedule's to delete. Nobody waits for it.
func (x *exchange) withdraw() {
	g, p := x.g, &x.page
	if g.Store == nil || x.explained != nil || p.policy.Observe || !p.policy.Withdraws(p.plan, p.resp, p.verdict) {
		return
	}
	now := time.Now()
	if e := p.place().Sibling(cachewriter.KindCopy); g.Store.Copies && g.withdrawn.note(e.Key, now) {
		g.Store.Withdraw(e) // a bad key has no copy
	}
	for _, t := range p.policy.Entries(x.client.received, p.plan)[1:] {
		if g.withdrawn.note(t.Key, now) {
			g.forget(t.Key)
			g.Store.Withdraw(cachewriter.Entry{Key: t.Key, Addr: t.Addr})
		}
	}
}

// withdrawnFor is how long an entry or a copy is not deleted again. It keeps a page that is
// never stored from costing a delete for every request.
const withdrawnFor = 5 * time.Second

// withdrawals remember which keys were deleted lately. Keys share 4096 places: one
// that takes another's place costs a delete. The zero value is ready; it is safe for
// concurrent use.
type withdrawals struct {
	places [4096]atomic.Pointer[withdrawal]
}

type withdrawal struct {
	key string
	at  time.Time
}

// place is where a key belongs, by its last letters. That of a copy ends with a hash.
func (w *withdrawals) place(key string) *atomic.Pointer[withdrawal] {
	n := uint32(0)
	for _, letter := range []byte(key[max(len(key)-8, 0):]) {
		n = n*37 + uint32(letter)
	}
	return &w.places[n%uint32(len(w.places))]
}

// note reports whether a key is to be deleted now, and remembers it.
func (w *withdrawals) note(key string, now time.Time) bool {
	if w.has(key, now) {
		return false
	}
	w.place(key).Store(&withdrawal{key, now})
	return true
}

// has reports whether a key was deleted lately, and nothing was stored there since.
func (w *withdrawals) has(key string, now time.Time) bool {
	last := w.place(key).Load()
	return last != nil && last.key == key && now.Sub(last.at) < withdrawnFor
}

// forget makes way for the next withdrawal: there is something again.
func (w *withdrawals) forget(key string) {
	place := w.place(key)
	if last := place.Load(); last != nil && last.key == key {
		place.CompareAndSwap(last, nil)
	}
}
