package cachewriter

import (
	"container/list"
	"errors"
	"time"

	"go.uber.org/zap"
)

// maxOwedBytes bounds the keys of the deletes owed to one server.
const maxOwedBytes = 4 << 20

// A debt is a delete that a server has missed.
type debt struct {
	key   string    // wire key
	tomb  string    // see purge
	at    time.Time // when it was purged
	until time.Time // by then whatever lies under the key has expired
	probe bool      // paying it is the breaker's probe
}

// debts are the deletes owed to one server, each key at most once, in the order in
// which they are to be paid. It has no lock and no clock of its own.
type debts struct {
	maxEntries int

	list  list.List // of *debt
	byKey map[string]*list.Element
	bytes int
}

// owe takes a debt on, in the place of an older one of the same key, whose tombstone it
// takes over if it has none; false means that there is no room.
func (d *debts) owe(x debt) bool {
	if old := d.of(x.key); old != nil {
		if x.tomb == "" {
			x.tomb, x.at = old.tomb, old.at
		}
		d.forgive(old)
	}
	if len(d.byKey) >= d.maxEntries || d.bytes+x.size() > maxOwedBytes {
		return false
	}
	d.insert(&x, d.list.PushBack)
	return true
}

// size is the bytes of its keys.
func (x *debt) size() int { return len(x.key) + len(x.tomb) }

func (d *debts) insert(x *debt, push func(any) *list.Element) {
	if d.byKey == nil {
		d.byKey = make(map[string]*list.Element)
	}
	d.byKey[x.key] = push(x)
	d.bytes += x.size()
}

// of returns the debt of a key, nil if there is none.
func (d *debts) of(key string) *debt {
	el, ok := d.byKey[key]
	if !ok {
		return nil
	}
	return el.Value.(*debt)
}

// forgive removes a debt, but not one of the same key that was made later. Nil
// is none.
func (d *debts) forgive(x *debt) {
	if x == nil || d.of(x.key) != x {
		return
	}
	d.list.Remove(d.byKey[x.key])
	delete(d.byKey, x.key)
	d.bytes -= x.size()
}

// forgiveStored removes a debt whose key has been stored since. One that has a
// tombstone must be paid all the same: another gateway may yet store an older page.
func (d *debts) forgiveStored(x *debt) {
	if x != nil && x.tomb == "" {
		d.forgive(x)
	}
}

// takeBack restores a debt that could not be paid, unless there is a later one.
func (d *debts) takeBack(x *debt, last bool) {
	switch {
	case d.of(x.key) != nil:
	case last:
		d.insert(x, d.list.PushBack)
	default:
		d.insert(x, d.list.PushFront)
	}
}

// first returns the debt to be paid first, of those whose key is not busy. On the
// way it drops what is too old.
func (d *debts) first(now time.Time, busy func(key string) bool) *debt {
	for el := d.list.Front(); el != nil; {
		x := el.Value.(*debt)
		el = el.Next()
		if !x.until.After(now) {
			d.forgive(x)
		} else if !busy(x.key) {
			return x
		}
	}
	return nil
}

func (d *debts) len() int { return len(d.byKey) }

// oweNow has the workers delete keys as soon as they can, without anybody waiting
// for it. What is queued of the keys is dropped.
func (s *store) oweNow(p purge) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	for _, key := range p.keys {
		if el, ok := s.queued[key]; ok {
			s.drop(el, DropSuperseded)
		}
	}
	report := s.owe(p)
	s.mu.Unlock()
	report()
}

// owe takes debts on. It is called with mu held, and the function that it returns,
// which logs, without.
func (s *store) owe(p purge) (report func()) {
	lost := false
	until := s.w.clock().Add(s.w.oweFor())
	for _, key := range p.keys {
		if !s.debts.owe(debt{key: key, tomb: p.tomb, at: p.at, until: until}) {
			s.stats.OwedLost++
			lost = true
		}
	}
	if !s.closing {
		s.start()
		s.work.Broadcast()
	}
	if !lost || s.lossLogged {
		return func() {}
	}
	s.lossLogged = true
	return func() {
		s.w.log().Warn("memcached is owed too many deletes: what was purged meanwhile may come back, until it expires",
			zap.String("server", s.addr))
	}
}

// takeDebt begins to pay the first debt that can be paid now. While it is being
// paid no set of the key is begun: the delete must not come after that.
func (s *store) takeDebt() *debt {
	now := s.w.clock()
	if s.forsaken || s.payAfter().After(now) && !s.closing {
		return nil
	}
	x := s.debts.first(now, func(key string) bool { return s.writing[key] != nil })
	if x == nil {
		return nil
	}
	probe, ok := s.breaker.begin()
	if !ok {
		return nil
	}
	x.probe = probe
	s.debts.forgive(x)
	s.writing[x.key] = make(chan struct{})
	s.paying++
	return x
}

// payAfter is when debts may next be paid: not while the breaker is open, nor
// soon after one could not be paid.
func (s *store) payAfter() time.Time {
	if s.breaker.open && s.breaker.until.After(s.payAt) {
		return s.breaker.until
	}
	return s.payAt
}

// pay deletes one key that is owed, and books what came of it.
func (s *store) pay(c *client, x *debt) {
	start := s.w.clock()
	err := c.purge(s.w.life, s.w, purge{[]string{x.key}, x.tomb, x.at})

	s.mu.Lock()
	close(s.writing[x.key])
	delete(s.writing, x.key)
	s.paying--
	report := s.settle(s.w.life, x.probe, start, err)
	if err == nil {
		s.stats.OwedDone++
		s.payAt, s.payPause = time.Time{}, 0
	} else {
		s.unpaid(x, err)
	}
	if s.debts.len() == 0 {
		s.lossLogged = false
	}
	s.work.Broadcast()
	s.mu.Unlock()
	report()
}

// unpaid books a debt that could not be paid. With the end in sight there is no
// second attempt, and none at all at a server that is down.
func (s *store) unpaid(x *debt, err error) {
	refused := errors.Is(err, ErrRefused)
	if s.closing && refused {
		s.givenUp++
		return
	}
	s.forsaken = s.forsaken || s.closing
	s.debts.takeBack(x, refused)
	s.pausePaying()
}

// pausePaying keeps the workers from trying again at once. A pause that runs goes on.
func (s *store) pausePaying() {
	now := s.w.clock()
	if now.Before(s.payAt) {
		return
	}
	s.payPause = min(max(2*s.payPause, s.w.backoffMin()), s.w.backoffMax())
	s.payAt = now.Add(s.payPause)
}

// setAlarm has a worker woken when debts may be paid again, for nobody else may
// come by until then.
func (s *store) setAlarm() {
	if s.debts.len() == 0 || s.closing {
		return
	}
	at := s.payAfter()
	wait := at.Sub(s.w.clock())
	if wait <= 0 || s.alarm != nil && s.alarmAt.Equal(at) {
		return
	}
	s.stopAlarm()
	s.alarmAt, s.alarm = at, time.AfterFunc(wait, s.rouse)
}

func (s *store) rouse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarm = nil
	s.work.Broadcast()
}

func (s *store) stopAlarm() {
	if s.alarm != nil {
		s.alarm.Stop()
		s.alarm = nil
	}
}

// owed is how many deletes the server has missed and not got yet.
func (s *store) owed() int { return s.debts.len() + s.paying + s.givenUp }
