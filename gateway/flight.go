package gateway

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A flight is the fetch of one page. The first request for the page is its leader: it asks
// a worker, as it would without the others. Those that come meanwhile are its followers.
// They see what the leader captures of the page, which is what is stored; nothing is copied.
//
// What may not be stored is not shared either. The ending says what became of the flight.
// One that has landed is kept for a moment.
//
// Another gateway may have purged the page while it was fetched. That shows when the page
// is stored: see exchange.confirmCurrent.
type flight struct {
	key      string
	policy   *policy.Policy // whose verdict it is
	pool     *backend.Pool  // that is asked
	vars     uwsgi.Vars     // as the worker gets them; not to be changed
	stranger bool           // its leader is one
	strikes  int            // leaders of this page that failed in a row before this one
	began    time.Time

	mu        sync.Mutex    // guards everything below
	news      chan struct{} // closed at the next change; nil: nobody waits
	followers int           // that wait, or read
	leader    *client       // nil: it has ended
	writing   bool          // the leader is sending to its client
	hurried   bool          // that write, or the last one, had to end soon for the followers' sake
	gone      bool          // its client has left
	now       view          // what followers see
	value     []byte        // as it is to be stored, of endLanded; nil: it is not, or not known to be
	landedAt  time.Time     // zero: not yet
	kept      *list.Element // guarded by flights.mu: its place in landed; nil: none
}

// An ending is what became of a flight.
type ending int

const (
	aloft ending = iota
	endLanded
	endRefused // the page is not for everyone: each follower asks for itself
	endFailed  // no server takes requests: the error is everybody's
	endOrphan  // the leader failed, perhaps by its own fault: one of the followers leads
	endAlone   // the leader failed, and another leader may, too: each follower asks for itself
)

// isForStrangers reports whether a stranger may wait for the flight.
func (f *flight) isForStrangers() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stranger || f.now.resp != nil
}

// isOver reports whether the page is known not to be for a request that came then.
func (f *flight) isOver(came time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now.ending == endLanded && f.now.settled && f.value == nil && f.now.asOf.Before(came)
}

// enter adds a follower. From then on the leader does not wait for its own client. It
// returns false if there is no room, or if the flight began before oldest and its page is
// not coming yet: then it is not worth waiting for.
func (f *flight) enter(room int, oldest time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers >= room || f.now.ending == aloft && !f.now.live && f.began.Before(oldest) {
		return false
	}
	f.followers++
	if f.writing {
		f.hurried = true
		f.leader.conn.SetWriteDeadline(time.Now().Add(lagFor))
	}
	return true
}

// leave removes a follower. The last one ends a fetch that nobody else waits for.
func (f *flight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followers--
	if f.followers == 0 && f.gone && f.leader != nil {
		f.leader.ctx.end(errClientGone)
	}
}

// hasLeft reports whether the leader's client has left and the flight goes on.
func (f *flight) hasLeft() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gone
}

// startWriting sets the deadline for a write to the leader's client, by or sooner: a
// client that does not read must not keep the followers waiting. It returns false if nothing
// should be written: over TLS a write that was given up cannot be taken up again.
func (f *flight) startWriting(by time.Time, resumable bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers > 0 && !resumable {
		return false
	}
	f.writing, f.hurried = resumable, f.followers > 0
	if f.hurried {
		by = time.Now().Add(lagFor)
	}
	f.leader.conn.SetWriteDeadline(by)
	return true
}

// stopWriting returns how many followers there are. Hurried reports whether the write had
// to end soon for the sake of any, who may have left since.
func (f *flight) stopWriting() (followers int, hurried bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writing = false
	return f.followers, f.hurried
}

// strikesAfter is the strikes of the leader that comes after a flight.
func (f *flight) strikesAfter() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.ending == endOrphan {
		return f.strikes + 1
	}
	return 0
}

// judged shows the followers the head of a page that may be shared; asked is when a worker
// got its request. Followers that must wait for the last byte are not woken twice.
func (f *flight) judged(resp *uwsgi.Response, ttl time.Duration, asked time.Time, live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.resp, f.now.ttl, f.now.asOf, f.now.live = resp, ttl, asked, live
	if live {
		f.changed()
	}
}

// grown shows them more of its body.
func (f *flight) grown(body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.body = body
	if f.now.live {
		f.changed()
	}
}

// hit serves the followers a page that was found in memcached.
func (f *flight) hit(page *found) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.resp, f.now.ttl, f.now.body, f.value, f.now.reason = page.resp, page.ttl, page.body, page.value, page.reason
	f.now.asOf, f.now.settled = page.at, true
}

// stored notes the value that memcached is about to get.
func (f *flight) stored(value []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value = value
}

// settle notes, once, up to which time no purge is known that is newer than the page, and
// whether the page is in memcached. A time before that of its request says nothing.
func (f *flight) settle(asOf time.Time, stored bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.settled {
		return
	}
	f.now.settled = true
	if asOf.After(f.now.asOf) {
		f.now.asOf = asOf
	}
	if !stored {
		f.value = nil
	}
	if f.now.ending != aloft {
		f.changed()
	}
}

// settleBy settles a flight by what has become of a page that was put at that time.
func (f *flight) settleBy(err error, put time.Time) {
	switch {
	case err == nil:
		f.settle(put, true)
	case errors.Is(err, cachewriter.ErrServerDown):
		f.settle(time.Now(), false)
	default:
		f.settle(time.Time{}, false)
	}
}

// inStore is the value that memcached has got from a flight that has landed; nil: unknown.
func (f *flight) inStore() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.now.settled {
		return nil
	}
	return f.value
}

func (f *flight) changed() {
	if f.news != nil {
		close(f.news)
		f.news = nil
	}
}

// A view is what a follower sees of a flight at one moment.
type view struct {
	resp    *uwsgi.Response // nil: not judged yet; not to be changed
	ttl     time.Duration   // of the page
	reason  policy.Reason   // Found or Stale: it lay in memcached; empty: it is fetched
	live    bool            // the body may be passed on while it grows
	body    []byte          // what has come of it; appended to, never changed
	ending  ending          // aloft until the leader has ended
	err     error           // of endFailed
	asOf    time.Time       // whoever came by then may have the page, whatever was purged; of endLanded
	settled bool            // asOf is final
}

// await returns the first view that is ready, or the last one when ctx ends or the
// time is up.
func (f *flight) await(ctx context.Context, timeUp <-chan time.Time, ready func(*view) bool) (v view, ok bool) {
	for {
		v, news := f.view()
		if ready(&v) {
			return v, true
		}
		select {
		case <-news:
		case <-timeUp:
			return v, false
		case <-ctx.Done():
			return v, false
		}
	}
}

func (f *flight) view() (view, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.news == nil {
		f.news = make(chan struct{})
	}
	return f.now, f.news
}
