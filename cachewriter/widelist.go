package cachewriter

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// widePurges remembers the wide purges of this Writer, as purges does with keys. Its
// comparison is exact. It is safe for concurrent use.
type widePurges struct {
	mu   sync.Mutex // held while list is replaced
	list atomic.Pointer[[]notedPurge]
}

type notedPurge struct {
	scope Scope
	at    time.Time
}

// maxNoted bounds the purges that are remembered. If there are more, the older half
// becomes one that matches all pages.
const maxNoted = 256

// note records that the pages of scopes are being purged.
func (w *widePurges) note(scopes []Scope, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []notedPurge
	if old := w.list.Load(); old != nil {
		list = slices.DeleteFunc(slices.Clone(*old), func(n notedPurge) bool {
			return now.Sub(n.at) > maxFillAge || !n.at.After(now) && slices.Contains(scopes, n.scope)
		})
	}
	for _, s := range scopes {
		list = append(list, notedPurge{s, now})
	}
	if len(list) > maxNoted {
		list = mergeNoted(list)
	}
	w.list.Store(&list)
}

func mergeNoted(list []notedPurge) []notedPurge {
	slices.SortStableFunc(list, func(a, b notedPurge) int { return a.at.Compare(b.at) })
	half := len(list) - maxNoted/2
	return append([]notedPurge{{Scope{Kind: ScopeAll}, list[half-1].at}}, list[half:]...)
}

// since reports whether a page was purged at began or later.
func (w *widePurges) since(page Subject, began time.Time) bool {
	list := w.list.Load()
	if list == nil {
		return false
	}
	for _, n := range *list {
		if !n.at.Before(began) && n.scope.Matches(page) {
			return true
		}
	}
	return false
}
