package cachewriter

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// A Writer writes entries to the memcached servers of a ring. Its exported fields
// are its options. Set them before the first call of a method; all methods are safe
// for concurrent use.
//
// Its goroutines are the workers, which start at the first Put or the first pending
// delete of their server; those of the connections for meta commands; and the
// renewals of locks that are kept. Close ends them and waits for them. A Writer that
// has written nothing has none.
//
// The queue is bounded over all servers by Queue. Each server gets an equal share,
// so that a server that hangs does not use up the room of the others. Entries that
// are being written count.
//
// Of several Puts of one key the last one wins. Delete wins over every Put that
// returned before Delete was called.
type Writer struct {
	// Ring has the servers at the start; SetRing replaces it. It must be set.
	Ring *Ring

	// Log gets a line when a server goes down and when it is back. Nil means no log.
	Log *zap.Logger

	// DialTimeout bounds a connection attempt. 0 means 100 ms.
	DialTimeout time.Duration

	// Timeout bounds one operation on a connection, and a whole Delete, Get or
	// Look. 0 means 250 ms.
	Timeout time.Duration

	// Workers is the number of goroutines, each with a connection, that write to each
	// server. 0 means 4.
	Workers int

	Queue   QueueLimits   // entries that wait or are being written
	Backoff Backoff       // how long a server that failed gets nothing
	Pending PendingLimits // deletes that have not reached their server

	// Copies says that last good copies (KindCopy) are kept. Delete removes the copy
	// together with its page, in the same round trip. All Writers that delete pages of
	// one cache should have the same value: a page that was purged must not come back
	// as a copy.
	Copies bool

	// Subject returns the Host and the URI of the page under a raw key. ok means that they
	// follow from the key: every page under this key shows them, unless its Entry is
	// Recorded. Nil means that keys tell nothing. It must be safe for concurrent use.
	Subject func(key string) (s Subject, ok bool)

	now       func() time.Time // nil: time.Now; tests replace it
	maxListed int              // see keyList; 0: maxChunks; tests lower it

	once    sync.Once
	tier    atomic.Pointer[tier]
	changes sync.Mutex // held while tier is replaced or closed
	closed  atomic.Bool
	shared
}

// shared is what the stores of a Writer have in common.
type shared struct {
	budget  budget
	purges  purges
	wide    widePurges
	process process
	life    context.Context // of the workers; ends when Close gives up
	end     context.CancelFunc
	running sync.WaitGroup // workers, Deletes and renewals of locks

	clocksDiffer atomic.Bool // it has been logged
}

// QueueLimits bound the entries that wait or are being written, over all servers.
type QueueLimits struct {
	Bytes   int64 // of keys and bodies; 0: 64 MiB
	Entries int   // 0: 4096; each server may always have one
}

// Backoff is how long a server gets nothing after three failed operations in a row.
// The time starts at Min and doubles with every failed attempt, up to Max.
type Backoff struct {
	Min time.Duration // 0: 1 s
	Max time.Duration // 0: 30 s
}

// PendingLimits bound the deletes that have not reached their server.
type PendingLimits struct {
	// MaxAge is how long a delete is kept. It should be at least the longest life of
	// an entry. 0 means 24 h.
	MaxAge time.Duration

	// Entries bounds the deletes for each server. Their keys take 4 MiB at most.
	// 0 means 65536.
	Entries int
}

// Pick returns the addresses to which a page without an Addr is written: Ring.Pick of
// the current ring.
func (w *Writer) Pick(hashKey string) []string { return w.servers().ring.Pick(hashKey) }

// Close accepts nothing more and writes what is queued until ctx is done. Then it
// interrupts the writes and drops and counts the rest; the error says how many
// entries and deletes are left. Pending deletes are tried once more, except at
// servers that are down. When Close returns, all goroutines have ended, and so have
// the Deletes under way; this is at most Timeout after ctx is done. A second Close
// does nothing.
func (w *Writer) Close(ctx context.Context) error {
	if w.closed.Swap(true) {
		return nil
	}
	w.changes.Lock()
	t := w.servers()
	t.close()
	w.changes.Unlock()
	left := 0
	gaveUp := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.end()
		left = t.abandon()
		close(gaveUp)
	})
	w.running.Wait()
	if !stop() {
		<-gaveUp
	}
	w.end()
	if pending, cause := t.pendingCount(ctx); left+pending > 0 {
		return fmt.Errorf("cachewriter: close: %d entries not written, %d deletes still pending: %w", left, pending, cause)
	}
	return nil
}

// Stats returns the current counters. Those of one server are consistent with each
// other.
func (w *Writer) Stats() Stats {
	t := w.servers()
	all := Stats{Total: newServerStats(""), Queue: QueueLimits{w.Queue.bytes(), w.Queue.entries()}}
	for _, addr := range t.ring.addrs {
		s := t.stores[addr].snapshot()
		all.Servers = append(all.Servers, s)
		all.Total.add(s)
	}
	return all
}

func (w *Writer) init() {
	w.life, w.end = context.WithCancel(context.Background())
	w.budget.left.Store(w.Queue.bytes())
	w.purges.seed = maphash.MakeSeed()
	w.process = newProcess(w.clock())
	w.tier.Store(newTier(w, w.Ring, nil))
}

func (w *Writer) log() *zap.Logger {
	if w.Log == nil {
		return zap.NewNop()
	}
	return w.Log
}

func (w *Writer) clock() time.Time {
	if w.now == nil {
		return time.Now()
	}
	return w.now()
}

func (w *Writer) dialTimeout() time.Duration { return positive(w.DialTimeout, 100*time.Millisecond) }

// OperationTimeout is Timeout, or what zero means.
func (w *Writer) OperationTimeout() time.Duration { return positive(w.Timeout, 250*time.Millisecond) }
func (w *Writer) workers() int                    { return positive(w.Workers, 4) }

func (q QueueLimits) bytes() int64 { return positive(q.Bytes, 64<<20) }
func (q QueueLimits) entries() int { return positive(q.Entries, 4096) }

func (b Backoff) min() time.Duration { return positive(b.Min, time.Second) }
func (b Backoff) max() time.Duration { return positive(b.Max, 30*time.Second) }

func (p PendingLimits) maxAge() time.Duration { return positive(p.MaxAge, 24*time.Hour) }
func (p PendingLimits) entries() int          { return positive(p.Entries, 1<<16) }

func positive[T int | int64 | time.Duration](option, otherwise T) T {
	if option > 0 {
		return option
	}
	return otherwise
}
