package gateway

import "sync/atomic"

// A budget counts bytes in use. The zero value is ready.
type budget struct{ used atomic.Int64 }

// take adds n bytes if at most limit bytes are in use then, and reports whether it did.
func (b *budget) take(n, limit int64) bool {
	if b.used.Add(n) <= limit {
		return true
	}
	b.used.Add(-n)
	return false
}

// free gives back n bytes that take has added.
func (b *budget) free(n int64) { b.used.Add(-n) }
