package gateway

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// flights are those of a gateway. The zero value is ready.
type flights struct {
	mu      sync.Mutex // guards everything below; held before a flight's
	aloft   map[string]*flight
	landed  list.List   // of *flight that still are in aloft, the oldest first
	bytes   int64       // of their bodies
	sweep   *time.Timer // nil: nothing to sweep
	markers markers
}

const (
	// keepLanded is how long a page that has landed is kept for requests that nginx sent
	// before the page was in memcached.
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
	if fs.markers.of(s.key, s.stranger, now) != unmarked {
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

// forget prevents later requests from joining the flight of a key.
func (fs *flights) forget(key string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.aloft[key]; f != nil {
		fs.remove(f)
	}
}

// forgetMatching prevents later requests from joining the flights of the pages in a scope.
// The tags of a page in flight may be any.
func (fs *flights) forgetMatching(scopes []cachewriter.Scope) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.aloft {
		page := cachewriter.Subject{Host: policy.HostOf(f.vars), URI: f.vars.Get("REQUEST_URI"), TagsLost: true}
		if slices.ContainsFunc(scopes, func(s cachewriter.Scope) bool { return s.Matches(page) }) {
			fs.remove(f)
		}
	}
}

// leaveOut removes a flight from the table.
func (fs *flights) leaveOut(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.remove(f)
}

// remove removes a flight from the table, if it is there. fs.mu is held.
func (fs *flights) remove(f *flight) {
	if fs.aloft[f.key] != f {
		return
	}
	delete(fs.aloft, f.key)
	if f.kept != nil {
		fs.landed.Remove(f.kept)
		fs.bytes -= int64(len(f.now.body))
	}
}

// end shows the followers what became of a flight, once. One that has landed is kept for
// a while.
func (fs *flights) end(f *flight, o ending, err error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.ending != aloft {
		return
	}
	f.now.ending, f.now.err, f.leader = o, err, nil
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
		if f.now.ending == aloft {
			flights++
		}
		followers += f.followers
		f.mu.Unlock()
	}
	return flights, followers
}

// keep keeps a flight on the table after it has landed.
func (fs *flights) keep(f *flight, now time.Time) {
	f.landedAt = now
	f.kept = fs.landed.PushBack(f)
	fs.bytes += int64(len(f.now.body))
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

// setMarker marks a key, for strangers or for all others.
func (fs *flights) setMarker(key string, stranger bool, m marker) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.markers.set(key, stranger, m, time.Now())
}

// clearMarkers lets requests share the pages of a key again.
func (fs *flights) clearMarkers(key string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.markers.clear(key)
}

// markerOf returns what is known of a key.
func (fs *flights) markerOf(key string, stranger bool) marker {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.markers.of(key, stranger, time.Now())
}

// markLate notes that a request has waited for a flight in vain, so that later ones do not,
// unless the flight has just ended.
func (fs *flights) markLate(f *flight, stranger bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.ending == aloft {
		fs.markers.set(f.key, stranger, apart, time.Now())
	}
}

// leaderLeft notes that the leader's client has left. It returns true if the fetch goes on
// for followers. If not, no request can join it any more.
func (fs *flights) leaderLeft(f *flight) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now.ending != aloft {
		return false
	}
	if f.followers == 0 {
		fs.remove(f)
		return false
	}
	f.gone = true
	return true
}
