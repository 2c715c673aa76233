package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"uwgate/cachewriter"
)

// withdraw deletes the last good copy of a page that the response takes back. Nobody
// waits for it.
func (x *exchange) withdraw() {
	g := x.g
	if g.Store == nil || x.policy.Observe || !x.policy.Withdraws(x.plan, x.resp, x.verdict) {
		return
	}
	e := x.place().Sibling(cachewriter.KindCopy)
	if !g.withdrawn.note(e.Key, time.Now()) {
		return
	}
	x.later.Go(func() {
		if err := g.Store.Delete(context.Background(), e); err != nil {
			g.log().Warn("the last good copy of a page that was withdrawn could not be deleted yet", zap.Error(err))
		}
	})
}

// withdrawnFor is how long a copy is not deleted again. It keeps a page that is never
// stored from costing a delete for every request.
const withdrawnFor = 5 * time.Second

// withdrawals remember which copies were deleted lately. Keys share 4096 places: one
// that takes another's place costs a delete. The zero value is ready; it is safe for
// concurrent use.
type withdrawals struct {
	places [4096]atomic.Pointer[withdrawal]
}

type withdrawal struct {
	key string
	at  time.Time
}

// place is where a key belongs. It ends with a hash, so that any letters of that do.
func (w *withdrawals) place(key string) *atomic.Pointer[withdrawal] {
	n := 0
	for _, letter := range []byte(key[max(len(key)-4, 0):]) {
		n = n*37 + int(letter)
	}
	return &w.places[n%len(w.places)]
}

// note reports whether the copy is to be deleted now, and remembers it.
func (w *withdrawals) note(key string, now time.Time) bool {
	place := w.place(key)
	if last := place.Load(); last != nil && last.key == key && now.Sub(last.at) < withdrawnFor {
		return false
	}
	place.Store(&withdrawal{key, now})
	return true
}

// forget makes way for the next withdrawal: there is a copy again.
func (w *withdrawals) forget(key string) {
	place := w.place(key)
	if last := place.Load(); last != nil && last.key == key {
		place.CompareAndSwap(last, nil)
	}
}
