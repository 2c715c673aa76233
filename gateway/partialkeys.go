package gateway

import (
	"context"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"uwgate/gateway/policy"
)

// partialKeys finds keys that do not determine the page: nginx hands one over for two pages.
// It looks at keys without a URI only, such as a hash or what a regex has captured: of these
// policy has nginx's word alone. One that is found stays refused until the settings are
// reloaded: nginx would serve what is stored to the visitors of the other page, and the
// gateway would not see them. The zero value is ready.
type partialKeys struct {
	found atomic.Int32 // how many, to spare the lock where there are none

	mu      sync.Mutex // guards everything below
	seed    maphash.Seed
	pages   map[uint64]metPage // by key
	order   []uint64           // the keys of pages, the oldest at next when there are maxMet
	next    int
	partial map[uint64]bool
}

// A metPage is the page for which a key came.
type metPage struct {
	page  uint64
	shown string // for people
}

const (
	// maxMet is how many keys are remembered, the most recent ones.
	maxMet = 4096

	// maxPartial is how many partial keys are remembered. If there are so many, all keys
	// without a URI are taken for partial.
	maxPartial = 1024

	// maxShownPage is how many bytes of a page's URL are kept for the log.
	maxShownPage = 200
)

// meet notes that the key came for a page. It reports whether the key is partial, and if this
// request has shown it, for which other page it came before.
func (k *partialKeys) meet(key, page string) (isPartial bool, other string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pages == nil {
		k.seed, k.pages, k.partial = maphash.MakeSeed(), make(map[uint64]metPage), make(map[uint64]bool)
	}
	id, met := maphash.String(k.seed, key), metPage{maphash.String(k.seed, page), clipped(page)}
	if k.isPartial(id) {
		return true, ""
	}
	before, known := k.pages[id]
	switch {
	case known && before.page == met.page:
		return false, ""
	case known:
		k.partial[id] = true
		k.found.Store(int32(len(k.partial)))
		return true, before.shown
	}
	k.remember(id, met)
	return false, ""
}

func (k *partialKeys) remember(id uint64, met metPage) {
	if len(k.order) < maxMet {
		k.order = append(k.order, id)
	} else {
		delete(k.pages, k.order[k.next])
		k.order[k.next] = id
		k.next = (k.next + 1) % maxMet
	}
	k.pages[id] = met
}

func (k *partialKeys) isPartial(id uint64) bool { return k.partial[id] || len(k.partial) >= maxPartial }

// has reports whether a key without a URI is known to be partial.
func (k *partialKeys) has(key string) bool {
	if k.found.Load() == 0 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.isPartial(maphash.String(k.seed, key))
}

// forget forgets all keys: nginx may make others now.
func (k *partialKeys) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pages, k.order, k.next, k.partial = nil, nil, 0, nil
	k.found.Store(0)
}

func clipped(page string) string {
	if len(page) > maxShownPage {
		page = page[:maxShownPage] + "…"
	}
	return strings.Clone(page)
}

// meetKey keeps pages from a key that does not determine them.
func (x *exchange) meetKey(ctx context.Context) {
	p := &x.page
	isPartial, other := x.g.partial.meet(p.plan.Key, p.plan.Page)
	if !isPartial {
		return
	}
	p.plan.Reason = policy.KeyPartial
	if other != "" {
		x.delete(ctx, []policy.Target{{Key: p.plan.Key, Addr: p.plan.Addr}})
		x.g.hintPartial(other, clipped(p.plan.Page))
	}
}

// hintPartial logs two pages that have one key.
func (g *Gateway) hintPartial(one, other string) {
	show := func(page string) string {
		if path, _, hasQuery := strings.Cut(page, "?"); hasQuery && g.HideQuery {
			page = path + "?…"
		}
		return strconv.Quote(page)
	}
	g.hints.partial.Do(func() {
		g.log().Warn("nginx looks up two pages under one key, so visitors of one would get the other: "+show(one)+" and "+show(other)+"; nothing is stored under such keys",
			zap.String("fix", "put everything into nginx's key on which the page depends, as in \"$scheme://$host$request_uri\"; if both are one page, redirect one URL to the other; `uwgate check --nginx` finds keys that say too little"))
	})
}
