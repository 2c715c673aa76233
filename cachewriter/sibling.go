package cachewriter

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
)

// Kinds of sibling keys.
const (
	kindLock = "l" // who fetches the page: Writer.Lock
	KindCopy = "s" // the last good copy of the page

	// KindTombstone says when the page was last purged: Writer.Delete.
	KindTombstone = "d"
)

// Sibling returns the key, raw and wire key in one, of something that belongs to
// a page and is not for visitors. It may never lie under the page's own key, raw in
// key: nginx serves whatever lies there.
func Sibling(kind, key string) string {
	sum := sha256.Sum256([]byte(key))
	return "uwg:" + kind + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Sibling returns an entry for a sibling of a page's entry, on the server of its
// page. Body, Flags, Expires and Began are zero.
//
// Put refuses it if the page was deleted since Began; and with Writer.Copies the last
// good copy is deleted with its page.
func (e Entry) Sibling(kind string) Entry {
	return Entry{Key: Sibling(kind, e.Key), HashKey: cmp.Or(e.HashKey, e.Key), Addr: e.Addr, Of: e.Key}
}
