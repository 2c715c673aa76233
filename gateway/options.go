package gateway

import (
	"math"
	"net/netip"
	"time"

	"uwgate/gateway/policy"
)

// Timeouts bound the phases of a request.
type Timeouts struct {
	// Handshake bounds the TLS handshake of a client's connection. Zero means 5 s.
	Handshake time.Duration

	// Head bounds the wait for a request's packet. Zero means 10 s.
	Head time.Duration

	// FirstByte bounds the wait for the head of a response. It is counted from the last
	// byte of the request that a backend has taken. Zero means 60 s.
	FirstByte time.Duration

	// Idle bounds every pause in a body: of a request from nginx, of a response from a
	// backend, and while a backend takes nothing of a request. Zero means 60 s.
	Idle time.Duration

	// Send bounds every pause in which nginx takes nothing of a response. Zero means no
	// bound: nginx stops reading for minutes while a slow visitor empties its temporary
	// file, and has a send_timeout of its own for visitors.
	Send time.Duration

	// Total bounds a whole request, from its first byte to the last byte of its response.
	// Zero means no bound.
	Total time.Duration

	// Linger bounds how long a finished connection waits until nginx closes its side, so
	// that no response is lost to a reset. Zero means 5 s.
	Linger time.Duration

	// Drain bounds how long Serve waits for the requests in flight after its context is
	// done. Zero means 30 s, a negative value means no bound.
	Drain time.Duration
}

func (t *Timeouts) handshake() time.Duration { return orDefault(t.Handshake, 5*time.Second) }
func (t *Timeouts) head() time.Duration      { return orDefault(t.Head, 10*time.Second) }
func (t *Timeouts) firstByte() time.Duration { return orDefault(t.FirstByte, time.Minute) }
func (t *Timeouts) idle() time.Duration      { return orDefault(t.Idle, time.Minute) }
func (t *Timeouts) linger() time.Duration    { return orDefault(t.Linger, 5*time.Second) }
func (t *Timeouts) drain() time.Duration     { return orDefault(t.Drain, 30*time.Second) }

// Uploads say how request bodies reach the workers. The zero value reads a whole body
// before it occupies a worker: a small body into memory, a large one into a file.
type Uploads struct {
	// Stream sends a body to the worker while it is still arriving.
	Stream bool

	// Dir is the directory of the files, which have no names. If it is empty, they are in
	// the system's directory for temporary files.
	Dir string

	// Memory bounds the bytes of all bodies in memory. Bodies beyond it go to files. Zero
	// means 64 MiB, a negative value means that all bodies go to files.
	Memory int64

	// Disk bounds the bytes of all bodies in files. A body that would exceed it gets a 503,
	// or a 413 if it is longer than Disk. Zero means 4 GiB, a negative value means no bound.
	Disk int64

	// MaxBody is the length of the longest body that is accepted; longer ones get a 413.
	// Zero means no limit.
	MaxBody int64
}

func (u *Uploads) memory() int64 {
	if u.Memory == 0 {
		return 64 << 20
	}
	return u.Memory
}

func (u *Uploads) disk() int64 {
	switch {
	case u.Disk == 0:
		return 4 << 30
	case u.Disk < 0:
		return math.MaxInt64
	}
	return u.Disk
}

// captureMemory returns the limit of all captures together, in bytes.
func (g *Gateway) captureMemory(p *policy.Policy) int64 {
	switch {
	case g.CaptureMemory == 0:
		return max(64<<20, p.BodyLimit())
	case g.CaptureMemory < 0:
		return math.MaxInt64
	}
	return max(g.CaptureMemory, p.BodyLimit())
}

// Coalescing says how requests share the fetch of a page. The zero value shares it within
// this gateway.
type Coalescing struct {
	// Wait bounds how long a request waits for a page that is being fetched for another
	// request; then it asks a backend itself. Zero means 5 s, a negative value means that
	// no request waits.
	Wait time.Duration

	// Followers bounds the requests that wait for one page. Zero means 10,000.
	Followers int

	// Fleet is set if other gateways fill the same memcached. Then one of them fetches a
	// page, and the others wait for it, too. It costs two more operations of memcached for
	// each page that is fetched. Followers get a page only when it is complete: another
	// gateway may have purged it.
	Fleet bool
}

func (c *Coalescing) wait() time.Duration { return orDefault(c.Wait, 5*time.Second) }

func (c *Coalescing) followers() int {
	if c.Followers > 0 {
		return c.Followers
	}
	return 10000
}

// Refreshing says which pages are fetched again before they expire. The zero value
// fetches none.
type Refreshing struct {
	// Ahead refreshes a page that nginx serves shortly before it expires, with a request
	// of a visitor without cookies or name. Gateway.Refresh does it.
	Ahead bool

	// Concurrency is how many pages are refreshed at once. Zero means 2.
	Concurrency int
}

// Peers say who may connect, how many at once, and how clients end a request. The zero value
// admits the loopback addresses, and UNIX sockets by their file mode.
type Peers struct {
	// Connections bounds the connections that clients have open at once, over all
	// listeners. At the bound the gateway accepts no more: they wait in the listen queue.
	// Several listeners may exceed it by one each. Zero means a third of the files that the
	// process may open, less 128.
	Connections int

	// Networks may connect over TCP, besides the loopback addresses, which always may.
	Networks []netip.Prefix

	// Users are the numbers of the users whose processes may connect over UNIX sockets.
	// Nil means everybody whom the file mode admits. It works on Linux alone: elsewhere
	// nobody may connect if it is set.
	Users []uint32

	// HalfClose permits TCP clients to close their direction after the request and still
	// wait for a response. Over TCP that looks like leaving, so that a client that has
	// left is noticed only when the gateway writes to it. UNIX sockets distinguish the
	// two and need no permission.
	HalfClose bool
}

// orDefault resolves a timeout's zero value.
func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
