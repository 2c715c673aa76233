package cachewriter

import (
	"errors"
	"time"
)

// Reasons why a call failed. CheckKey and Lock have more, and see ErrNoMeta.
var (
	ErrQueueFull     = errors.New("cachewriter: queue is full")
	ErrServerDown    = errors.New("cachewriter: server is down")
	ErrBusy          = errors.New("cachewriter: too many requests wait for the server")
	ErrUnknownServer = errors.New("cachewriter: not a server of the ring")
	ErrNoServer      = errors.New("cachewriter: every server is marked down")
	ErrExpired       = errors.New("cachewriter: entry has expired")
	ErrPurged        = errors.New("cachewriter: page was purged after it was requested")
	ErrClosed        = errors.New("cachewriter: writer is closed")

	// ErrRefused means that memcached responded with an error line. Such a server
	// is alive.
	ErrRefused = errors.New("refused by memcached")

	errSuperseded = errors.New("cachewriter: a newer entry has replaced this one")
	errTimeout    = errors.New("timed out") // the cause of a context that Writer.Timeout ended
)

// An Entry is a page on its way into memcached.
type Entry struct {
	// Key is the raw key, as nginx evaluates $memcached_key.
	Key string

	// HashKey is the value of nginx's hash expression; "" means Key.
	HashKey string

	// Addr is the server that nginx asked, as $upstream_addr prints it; "" means
	// that the ring chooses.
	Addr string

	// Body belongs to the Writer from Put on and must not be changed.
	Body []byte

	// Flags is 0, or the number of memcached_gzip_flag. The Writer adds ReservedFlags.
	Flags uint32

	// Expires is when memcached must drop the page. It must be in the future.
	Expires time.Time

	// Done, unless nil, is called once, when the outcome on all of the entry's
	// servers is known. It is not called if Put returns an error. The error is
	//   - nil if at least one server has stored the entry and its page was not
	//     purged between Put and then;
	//   - ErrPurged if the page was purged;
	//   - ErrServerDown if the breaker opened and the entry was dropped;
	//   - any other error if the outcome is not known.
	// Done must not block and must not call the Writer.
	Done func(err error)

	// Began is when the page was requested. A page that was requested before its
	// key was deleted, through any Writer, may be the old one: Put refuses it, or
	// it is dropped later. The same is done with a page that was requested about
	// 15 minutes ago or earlier, since its tombstone may have expired. Zero means
	// now.
	Began time.Time

	// Of is the raw key of the page to which a sibling belongs; "" for a page.
	Of string

	// Subject is what the page shows. Wide purges match it. The Writer completes an
	// empty Host or URI by Writer.Subject. A sibling has the subject of its page.
	Subject Subject

	// Recorded says that Writer.Subject cannot tell Host and URI of Subject from Key. So
	// they are stored in a record beside the page.
	Recorded bool
}
