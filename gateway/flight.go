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

// A flight is the fetch of one page, which the requests for it that come meanwhile
// wait for. The first of them is its leader: it asks a backend, as it would have
// without the others, the followers. They see what the leader captures of the
// page, which is what is stored: nobody copies it.
//
// What may not be stored is not shared either. Followers learn what became of
// the flight from its ending. One that has landed is kept for a moment.
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

	mu        sync.Mutex      // guards everything below
	news      chan struct{}   // closed at the next change; nil: nobody waits
	followers int             // that wait, or read
	leader    *client         // nil: it has ended
	writing   bool            // the leader is sending to its client
	gone      bool            // its client has left
	resp      *uwsgi.Response // nil: not judged yet; not to be changed
	ttl       time.Duration   // of the page
	reason    policy.Reason   // Found or Stale: it lay in memcached; empty: it is fetched
	live      bool            // the body may be passed on while it grows
	body      []byte          // what is here of it; appended to, never changed
	ending    ending          // once the leader has ended
	err       error           // of endFailed
	asOf      time.Time       // whoever came by then may have the page, whatever was purged; of endLanded
	settled   bool            // asOf is final
	value     []byte          // as it is to be stored, of endLanded; nil: it is not, or not known to be
	landedAt  time.Time       // zero: not yet
	kept      *list.Element   // guarded by flights.mu: its place in landed; nil: none
}

// An ending says what followers have of a flight.
type ending int

const (
	aloft ending = iota
	endLanded
	endRefused // the page is not for everyone: each follower asks for itself
	endFailed  // no server takes requests: the error is everybody's
	endOrphan  // the leader failed, perhaps by its own fault: one of the followers leads
	endAlone   // the leader failed, and another leader may, too: each follower asks for itself
)

// flights are those of a gateway. The zero value is ready.
type flights struct {
	mu     sync.Mutex // guards everything below; held before a flight's
	aloft  map[string]*flight
	landed list.List   // of *flight that still are in aloft, the oldest first
	bytes  int64       // of their bodies
	sweep  *time.Timer // nil: nothing to sweep
	marks  marks
}

const (
	// keepLanded is how long a page that has landed is kept for the requests
	// that nginx had sent on their way before it was in memcached.
	keepLanded      = time.Second
	keepLandedBytes = 16 << 20

	lagFor    = 10 * time.Millisecond // see flight.startWriting
	maxStrike = 1
)

// A seeker is a request that asks to share a page.
type seeker struct {
	client   *client
	key      string
	policy   *policy.Policy
	pool     *backend.Pool
	vars     uwsgi.Vars // as the worker gets them
	stranger bool
	came     time.Time
	strikes  int // leaders that failed before it came again
}

// join returns the flight for a key: a new one, which the caller leads, or one that it
// follows, unless room for followers is taken, or the worker would see another target than
// that of the leader. Nil means to go alone.
//
// A stranger does not wait for a page before it is known that strangers may have it: it
// leads another flight, in the place of one whose leader is no stranger.
func (fs *flights) join(s *seeker, room int) (f *flight, leads bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	now := time.Now()
	if fs.marks.of(s.key, s.stranger, now) != unmarked {
		return nil, false
	}
	f = fs.aloft[s.key]
	if f != nil && (s.stranger && !f.isForStrangers() || f.isOver(s.came)) {
		fs.remove(f)
		f = nil
	}
	if f == nil {
		f = &flight{key: s.key, policy: s.policy, pool: s.pool, vars: s.vars, stranger: s.stranger, strikes: s.strikes, began: now, leader: s.client}
		if fs.aloft == nil {
			fs.aloft = make(map[string]*flight)
		}
		fs.aloft[s.key] = f
		return f, true
	}
	if f.policy != s.policy || f.pool != s.pool || !policy.SameTarget(f.vars, s.vars) || !f.enter(room, now.Add(-s.client.g.Coalescing.wait())) {
		return nil, false
	}
	return f, false
}

// forget keeps requests to come from joining what is under way for a key.
func (fs *flights) forget(key string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.aloft[key]; f != nil {
		fs.remove(f)
	}
}

// leaveOut takes a flight off the table.
func (fs *flights) leaveOut(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.remove(f)
}

// remove takes a flight off the table, if it is there.
func (fs *flights) remove(f *flight) {
	if fs.aloft[f.key] != f {
		return
	}
	delete(fs.aloft, f.key)
	if f.kept != nil {
		fs.landed.Remove(f.kept)
		fs.bytes -= int64(len(f.body))
	}
}

// end tells the followers what became of a flight, once. One that has landed is
// kept for a while.
func (fs *flights) end(f *flight, o ending, err error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ending != aloft {
		return
	}
	f.ending, f.err, f.leader = o, err, nil
	f.changed()
	switch {
	case o != endLanded, f.value == nil && f.followers == 0: // nobody else will find it
		fs.remove(f)
	case fs.aloft[f.key] == f:
		fs.keep(f, time.Now())
	}
}

// count returns how many flights are under way, and how many follow any.
func (fs *flights) count() (flights, followers int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.aloft {
		f.mu.Lock()
		if f.ending == aloft {
			flights++
		}
		followers += f.followers
		f.mu.Unlock()
	}
	return flights, followers
}

// keep has a flight stay on the table after it has landed.
func (fs *flights) keep(f *flight, now time.Time) {
	f.landedAt = now
	f.kept = fs.landed.PushBack(f)
	fs.bytes += int64(len(f.body))
	for fs.bytes > keepLandedBytes {
		fs.remove(fs.landed.Front().Value.(*flight))
	}
	if fs.sweep == nil && fs.landed.Len() > 0 {
		fs.sweep = time.AfterFunc(keepLanded, fs.clear)
	}
}

// clear removes what has been kept long enough.
func (fs *flights) clear() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	now := time.Now()
	for el := fs.landed.Front(); el != nil; el = fs.landed.Front() {
		f := el.Value.(*flight)
		if left := f.landedAt.Add(keepLanded).Sub(now); left > 0 {
			fs.sweep = time.AfterFunc(left, fs.clear)
			return
		}
		fs.remove(f)
	}
	fs.sweep = nil
}

// forgetLanded removes all flights that have landed, and stops the timer that would do so.
func (fs *flights) forgetLanded() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for el := fs.landed.Front(); el != nil; el = fs.landed.Front() {
		fs.remove(el.Value.(*flight))
	}
	if fs.sweep != nil {
		fs.sweep.Stop()
		fs.sweep = nil
	}
}

// setMark marks a key for those who come to ask for it like x.
func (fs *flights) setMark(key string, stranger bool, m mark) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.marks.set(key, stranger, m, time.Now())
}

// clearMarks has everybody wait for the pages of a key again.
func (fs *flights) clearMarks(key string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.marks.clear(key)
}

// markOf returns what is known of a key.
func (fs *flights) markOf(key string, stranger bool) mark {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.marks.of(key, stranger, time.Now())
}

// markLate notes that somebody has waited for a flight in vain, so that those to come
// do not, unless the flight has just ended.
func (fs *flights) markLate(f *flight, stranger bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ending == aloft {
		fs.marks.set(f.key, stranger, apart, time.Now())
	}
}

// isForStrangers reports whether a stranger may wait for the flight.
func (f *flight) isForStrangers() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stranger || f.resp != nil
}

// isOver reports whether the page is known not to be for one who came then.
func (f *flight) isOver(came time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ending == endLanded && f.settled && f.value == nil && f.asOf.Before(came)
}

// enter adds a follower, and has the leader not wait for its own client any longer. It
// returns false if there is no room, or if the flight began before oldest and its page is
// not coming yet: then it is not worth waiting for.
func (f *flight) enter(room int, oldest time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers >= room || f.ending == aloft && !f.live && f.began.Before(oldest) {
		return false
	}
	f.followers++
	if f.writing {
		f.leader.conn.SetWriteDeadline(time.Now().Add(lagFor))
	}
	return true
}

// leave takes a follower off. The last one ends a fetch that nobody else waits for.
func (f *flight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followers--
	if f.followers == 0 && f.gone && f.leader != nil {
		f.leader.ctx.end(errClientGone)
	}
}

// outlives reports whether the fetch goes on for the followers though the leader's
// client has left. If not, it can be joined no more.
func (fs *flights) outlives(f *flight) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ending != aloft {
		return false
	}
	if f.followers == 0 {
		fs.remove(f)
		return false
	}
	f.gone = true
	return true
}

// isGone reports whether outlives has been asked, and has said yes.
func (f *flight) isGone() bool {
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
	f.writing = resumable
	if f.followers > 0 {
		by = time.Now().Add(lagFor)
	}
	f.leader.conn.SetWriteDeadline(by)
	return true
}

func (f *flight) stopWriting() (followers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writing = false
	return f.followers
}

// strikesAfter is the strikes of the leader that comes after a flight.
func (f *flight) strikesAfter() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ending == endOrphan {
		return f.strikes + 1
	}
	return 0
}

// judged tells the followers the head of a page that may be shared, and was asked for at
// that time. If they have to wait for its last byte, a thousand of them are not woken twice.
func (f *flight) judged(resp *uwsgi.Response, ttl time.Duration, asked time.Time, live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resp, f.ttl, f.asOf, f.live = resp, ttl, asked, live
	if live {
		f.changed()
	}
}

// grown tells them of more of its body.
func (f *flight) grown(body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.body = body
	if f.live {
		f.changed()
	}
}

// hit has a page that lay in memcached be that of the flight.
func (f *flight) hit(page *found) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resp, f.ttl, f.body, f.value, f.reason = page.resp, page.ttl, page.body, page.value, page.reason
	f.asOf, f.settled = page.at, true
}

// stored notes what memcached is to be given of the page.
func (f *flight) stored(value []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value = value
}

// settle notes, once, until when no purge is known of that is newer than the page, and
// whether the page is in memcached. A time before that when it was asked for says nothing.
func (f *flight) settle(asOf time.Time, stored bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.settled {
		return
	}
	f.settled = true
	if asOf.After(f.asOf) {
		f.asOf = asOf
	}
	if !stored {
		f.value = nil
	}
	if f.ending != aloft {
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

// inStore is what memcached has got of a flight that has landed; nil: nothing is known.
func (f *flight) inStore() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.settled {
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
	resp   *uwsgi.Response
	ttl    time.Duration
	live   bool
	reason policy.Reason
	body   []byte
	ending ending
	err    error

	asOf    time.Time
	settled bool
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
	return view{f.resp, f.ttl, f.live, f.reason, f.body, f.ending, f.err, f.asOf, f.settled}, f.news
}
