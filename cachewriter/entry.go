package cachewriter

import "time"

// An Entry is a page on its way into memcached.
type Entry struct {
	// Key is the raw key, as nginx evaluates $memcached_key.
	Key string

	// HashKey is the value of nginx's hash expression; "" means Key.
	HashKey string

	// Addr is the server that nginx asked, as $upstream_addr prints it; ""
	// leaves the choice to the ring.
	Addr string

	// Body belongs to the Writer from Put on and must not be changed.
	Body []byte

	// Flags is 0 but for what memcached_gzip_flag says.
	Flags uint32

	// Expires is when the page must be gone. It must lie ahead.
	Expires time.Time

	// Done, unless nil, is called once, when it is known what became of the entry on
	// all of its servers; not if Put returns an error. Nil means that it is stored, and
	// that its page had not been purged by then, that is, at some time after the
	// call of Put; on one server at least. ErrPurged means that it had been,
	// ErrServerDown that it was dropped because the breaker has opened. After any
	// other error nothing is known. Done must not wait for anything, nor call the Writer.
	Done func(err error)

	// Began is when the page was asked for. A page that was already being
	// made when its key was deleted, by whomever, may be the one that had to
	// go: it is refused, by Put or later. So is one that was asked for about a
	// quarter of an hour ago, for nobody knows that of it. Zero means now.
	Began time.Time

	// Of is the raw key of the page to which a sibling belongs; "" for a page.
	Of string
}
