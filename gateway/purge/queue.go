package purge

import (
	"context"
	"sync"
)

// maxQueued bounds the pages that wait to be fetched again.
const maxQueued = 4 * maxHot

// A queue holds the pages that wait to be fetched again. While it is not open it takes none.
// The zero value is ready; it is safe for concurrent use.
type queue struct {
	mu      sync.Mutex // guards what follows
	isOpen  bool
	waiting []*Page
	came    chan struct{} // gets a value when there is something to do
}

func (q *queue) open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.isOpen, q.came = true, make(chan struct{}, 1)
}

// accepts reports whether somebody takes pages from the queue.
func (q *queue) accepts() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.isOpen
}

// add appends pages, and returns those for which there is no room.
func (q *queue) add(pages []*Page) (rest []*Page) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.isOpen {
		return pages
	}
	n := min(len(pages), maxQueued-len(q.waiting))
	q.waiting = append(q.waiting, pages[:n]...)
	select {
	case q.came <- struct{}{}:
	default:
	}
	return pages[n:]
}

// next waits for a page. It returns nil when ctx is done.
func (q *queue) next(ctx context.Context) *Page {
	for ctx.Err() == nil {
		q.mu.Lock()
		if len(q.waiting) > 0 {
			pg := q.waiting[0]
			q.waiting = q.waiting[1:]
			q.mu.Unlock()
			return pg
		}
		q.mu.Unlock()
		select {
		case <-q.came:
		case <-ctx.Done():
		}
	}
	return nil
}

// close takes no more pages, and returns those that wait.
func (q *queue) close() []*Page {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.waiting
	q.isOpen, q.waiting = false, nil
	return left
}

// len is how many pages wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// A batch is the pages of one purge that are fetched again.
type batch struct {
	mu   sync.Mutex // guards what follows
	left int
	is   fetches
	over chan struct{} // closed when none is left
}

// fetches counts pages that were to be fetched again.
type fetches struct{ fetched, failed int }

func newBatch(n int) *batch {
	b := &batch{left: n, over: make(chan struct{})}
	if n == 0 {
		close(b.over)
	}
	return b
}

// end notes what has become of a page.
func (b *batch) end(f Fate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch f {
	case Replaced:
		b.is.fetched++
	case Failed:
		b.is.failed++
	}
	if b.left--; b.left == 0 {
		close(b.over)
	}
}

// wait waits until none is left, or ctx is done, and returns what became of them.
func (b *batch) wait(ctx context.Context) fetches {
	select {
	case <-b.over:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.is
}
