package cachewriter

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
)

// Kinds of siblings.
const (
	kindLock = "l" // which gateway fetches the page: Writer.Lock
	KindCopy = "s" // the last good copy of the page

	// KindTombstone says when the page was last purged: Writer.Delete.
	KindTombstone = "d"

	// KindRecord says what the page shows, for wide purges. A Writer writes it with the
	// page if it needs one.
	KindRecord = "p"

	kindPurgeLog = "g" // not of a page: the wide purges
)

// Sibling returns the key of something that belongs to a page and is not for
// visitors. It is raw key and wire key in one. key is the page's raw key. Siblings
// never lie under a page's own key: nginx serves whatever lies there.
func Sibling(kind, key string) string {
	sum := sha256.Sum256([]byte(key))
	return "uwg:" + kind + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Sibling returns an entry for a sibling of a page's entry, on the page's server.
// Body, Flags, Expires and Began are zero.
//
// Put refuses it if the page was deleted since Began.
func (e Entry) Sibling(kind string) Entry {
	return Entry{
		Key: Sibling(kind, e.Key), HashKey: cmp.Or(e.HashKey, e.Key), Addr: e.Addr, Of: e.Key,
		Subject: e.Subject, Recorded: e.Recorded,
	}
}
