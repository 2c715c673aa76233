package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Why Put or Delete did not take an entry; further reasons are CheckKey's.
var (
	ErrQueueFull     = errors.New("cachewriter: queue is full")
	ErrServerDown    = errors.New("cachewriter: server is down")
	ErrUnknownServer = errors.New("cachewriter: not a server of the ring")
	ErrNoServer      = errors.New("cachewriter: every server is marked down")
	ErrExpired       = errors.New("cachewriter: entry has expired")
	ErrPurged        = errors.New("cachewriter: key was deleted while the page was being made")
	ErrClosed        = errors.New("cachewriter: writer is closed")

	errSuperseded = errors.New("cachewriter: a newer entry has taken the place of this one")
)

// A Writer writes entries to the memcached servers of a ring. Its exported fields
// are its options, to be set before the first call of a method; all methods are
// safe for concurrent use. Close ends its goroutines: the workers, which start at
// the first Put for their server or the first delete owed to it, and those of its
// meta clients. A Writer that was never given an entry has none.
//
// What is queued is bounded over all servers by QueueBytes and QueueEntries, of
// which each server gets an equal share, so that one that hangs does not take the
// room of the others. Entries that are being written count.
//
// Of several Puts of one key the last one wins. Delete wins over every Put that
// returned before it was called.
type Writer struct {
	// Ring knows the servers. It must be set. It is the first one: SetRing puts
	// another in its place.
	Ring *Ring

	// Log gets one line when a server goes down and one when it is back. Nil
	// is silent.
	Log *zap.Logger

	// DialTimeout bounds a connection attempt. 0 means 100 ms.
	DialTimeout time.Duration

	// Timeout bounds one operation on a connection, and a whole Delete. 0 means
	// 250 ms.
	Timeout time.Duration

	// Workers is the number of goroutines, and of connections, that write to
	// each server. 0 means 4.
	Workers int

	// QueueBytes bounds the keys and bodies held, in bytes. 0 means 64 MiB.
	QueueBytes int64

	// QueueEntries bounds the entries held. Each server can hold at least
	// one. 0 means 4096.
	QueueEntries int

	// BackoffMin and BackoffMax bound the time for which a server is left
	// alone after three broken operations in a row; it doubles with every
	// broken attempt that follows. 0 means 1 s and 30 s.
	BackoffMin, BackoffMax time.Duration

	// OweFor is how long a server that could not be reached is owed a
	// delete. It should be no less than the longest life of an entry. 0 means
	// 24 h.
	OweFor time.Duration

	// OweEntries bounds the deletes owed to each server; their keys take no
	// more than 4 MiB. 0 means 65536.
	OweEntries int

	// Copies says that last good copies (KindCopy) are kept. Delete of a page
	// removes its copy, too, in the same round trip; to every other server two
	// deletes are owed then. All who delete pages of one cache should agree on it: a
	// page that was invalidated must not come back as a copy.
	Copies bool

	now func() time.Time // nil: time.Now; tests turn it

	once    sync.Once
	tier    atomic.Pointer[tier]
	changes sync.Mutex // held while tier is replaced, or closed
	room    room
	purges  purges
	process process
	life    context.Context // of the workers; ends when Close gives up
	end     context.CancelFunc
	running sync.WaitGroup // workers and Deletes
	closed  atomic.Bool

	clocksDiffer atomic.Bool // it has been logged
}

// Pick returns the addresses to which a page without an Addr is written: Ring.Pick
// of the ring in force.
func (w *Writer) Pick(hashKey string) []string { return w.servers().ring.Pick(hashKey) }

// Close accepts nothing more and writes what is queued until ctx is done; what
// is left then is cut off, dropped and counted, and an error says how much it was.
// What is owed is tried once more, but for the servers that turn out to be down.
// All goroutines have ended when it returns, a Delete under way included, which is
// at most Timeout after ctx is done. Closing again does nothing.
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
	if owed, cause := t.leftOwed(ctx); left+owed > 0 {
		return fmt.Errorf("cachewriter: close: %d entries not written, %d deletes still owed: %w", left, owed, cause)
	}
	return nil
}

// Stats returns the counters of the moment. Each server's are consistent in
// themselves.
func (w *Writer) Stats() Stats {
	t := w.servers()
	all := Stats{Total: newServerStats("")}
	for _, addr := range t.ring.addrs {
		s := t.stores[addr].snapshot()
		all.Servers = append(all.Servers, s)
		all.Total.add(s)
	}
	return all
}

func (w *Writer) init() {
	w.life, w.end = context.WithCancel(context.Background())
	w.room.left.Store(w.queueBytes())
	w.purges.seed = maphash.MakeSeed()
	w.process = newProcess(w.clock())
	w.tier.Store(newTier(w, w.Ring, nil))
}

// A room is the bytes of the queue that the stores share.
type room struct{ left atomic.Int64 }

func (r *room) take(bytes int64) bool {
	if r.left.Add(-bytes) >= 0 || bytes <= 0 {
		return true
	}
	r.left.Add(bytes)
	return false
}

func (r *room) give(bytes int64) { r.left.Add(bytes) }

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

func (w *Writer) timeout() time.Duration { return positive(w.Timeout, 250*time.Millisecond) }

func (w *Writer) workers() int { return positive(w.Workers, 4) }

func (w *Writer) queueBytes() int64 { return positive(w.QueueBytes, 64<<20) }

func (w *Writer) queueEntries() int { return positive(w.QueueEntries, 4096) }

func (w *Writer) backoffMin() time.Duration { return positive(w.BackoffMin, time.Second) }

func (w *Writer) oweFor() time.Duration { return positive(w.OweFor, 24*time.Hour) }

func (w *Writer) oweEntries() int { return positive(w.OweEntries, 1<<16) }

func (w *Writer) backoffMax() time.Duration { return positive(w.BackoffMax, 30*time.Second) }

func positive[T int | int64 | time.Duration](option, otherwise T) T {
	if option > 0 {
		return option
	}
	return otherwise
}
