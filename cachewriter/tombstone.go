package cachewriter

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// A tombstone lies beside a page that was purged (KindTombstone) and says when. Every
// Writer reads it before and after it writes the page: a page that was requested before
// the purge may be the old one. So a purge holds for all gateways, also for those that
// start later.
//
// The value is "1", the process that purged, its wall clock in nanoseconds of Unix
// time, and the nanoseconds since that process began.
//
// If two purges of a page overlap, the tombstone of the later one must stay. So a
// tombstone is added, or it replaces by `cas` the one that was read before. One that
// replaces another process's has the time of the replacement, which is after both
// purges.
//
// A proxy may put the page and its tombstone on different servers, and does not keep
// their order. So every step waits for the response to the one before.

const (
	// tombstoneLife is how long a tombstone stays in memcached.
	tombstoneLife = 15 * time.Minute

	// maxFillAge bounds the time from a page's request to its store. The tombstone of
	// an older page may have expired.
	maxFillAge = tombstoneLife - 10*time.Second

	// clockSkew is how far the clocks of two gateways may differ.
	clockSkew = 100 * time.Millisecond

	// clockError is how far a tombstone's age by our clock and by memcached may
	// differ. memcached counts whole seconds.
	clockError = 2 * time.Second

	// maxReplacements bounds the attempts to replace a tombstone that other processes
	// replace at the same time.
	maxReplacements = 100
)

// tombstoneForm is the version of a tombstone's value.
const tombstoneForm = "1"

var errContended = fmt.Errorf("%w: too many purges of one page at a time", ErrRefused)

// A tombstone is the content of a tombstone's value.
type tombstone struct {
	process string
	wall    int64         // in nanoseconds of Unix time
	since   time.Duration // since that process began
}

func (s tombstone) append(b []byte) []byte {
	b = append(b, tombstoneForm+" "...)
	b = append(b, s.process...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, s.wall, 10)
	b = append(b, ' ')
	return strconv.AppendInt(b, int64(s.since), 10)
}

func parseTombstone(value []byte) (s tombstone, ok bool) {
	words := strings.Split(string(value), " ")
	if len(words) != 4 || words[0] != tombstoneForm {
		return s, false
	}
	wall, err1 := strconv.ParseInt(words[2], 10, 64)
	since, err2 := strconv.ParseInt(words[3], 10, 64)
	return tombstone{words[1], wall, time.Duration(since)}, err1 == nil && err2 == nil
}

// A process distinguishes the tombstones of one Writer from those of others.
type process struct {
	id    string
	began time.Time
}

func newProcess(now time.Time) process {
	var id [8]byte
	rand.Read(id[:])
	return process{hex.EncodeToString(id[:]), now}
}

func (p process) tombstone(at time.Time) tombstone {
	return tombstone{p.id, at.UnixNano(), at.Sub(p.began)}
}

// covers reports whether s is of a purge that came after began. It is exact for
// tombstones of this process.
func (p process) covers(s tombstone, began time.Time) bool {
	if s.process == p.id {
		return s.since >= began.Sub(p.began)
	}
	return s.wall+int64(clockSkew) >= began.UnixNano()
}

// writeTombstone adds the tombstone, or replaces an older one.
func (c *plainClient) writeTombstone(w *Writer, p purge) error {
	at, old := p.at, casResult{}
	for range maxReplacements {
		value, ttl := w.process.tombstone(at).append(nil), w.tombstoneTTL(at)
		s, err := casResult{}, error(nil)
		if old.found {
			s, err = c.replace(p.tomb, value, ttl, old.cas)
		} else {
			s, err = c.add(p.tomb, value, ttl)
		}
		if err != nil || s.stored {
			return err
		}
		old = s
		switch st, ok := parseTombstone(s.value); {
		case !ok || st.process != w.process.id:
			at = w.clock() // that process may have purged after p.at
		case w.process.covers(st, at):
			return nil
		}
	}
	return errContended
}

// tombstoneTTL is what is left, in seconds, of the life of a tombstone with that
// time. It must be right to the second: readers compute the age from memcached's TTL.
func (w *Writer) tombstoneTTL(at time.Time) int64 {
	left := tombstoneLife - w.clock().Sub(at)
	return max(int64((left+time.Second/2)/time.Second), 1)
}

// checkTombstone returns ErrPurged if a tombstone, nil if there is none, forbids a page
// that was requested at began. A tombstone that cannot be parsed forbids every page: a
// later version may have written it. checkTombstone asks memcached for the age of
// another process's tombstone, since clocks may differ.
func (s *store) checkTombstone(tomb string, value []byte, began time.Time) error {
	now := s.w.clock()
	if now.Sub(began) >= maxFillAge {
		return ErrPurged
	}
	if value == nil {
		return nil
	}
	st, ok := parseTombstone(value)
	if !ok {
		return ErrPurged
	}
	purged := s.w.process.covers(st, began)
	if st.process != s.w.process.id {
		if age, ok := s.ageOf(tomb, value); ok && st.clockDiffers(age, now) {
			s.reportClocks(age, st, now)
			purged = now.Sub(began) >= age-clockError
		}
	}
	if purged {
		return ErrPurged
	}
	return nil
}

// ageOf is the age of a tombstone by memcached, in whole seconds. It is not ok if
// memcached does not say, or if another tombstone is there by now.
func (s *store) ageOf(tomb string, value []byte) (age time.Duration, ok bool) {
	it, err := s.meta.get(s.w.life, tomb, metaGet{value: true, unseen: true})
	if err != nil || it == nil || it.ttl == Forever || !bytes.Equal(it.value, value) {
		return 0, false
	}
	return tombstoneLife - it.ttl, true
}

// byClock is the age of a tombstone by its process's clock and ours.
func (s tombstone) byClock(now time.Time) time.Duration { return now.Sub(time.Unix(0, s.wall)) }

// clockDiffers reports whether our clock and the clock of the tombstone's process differ
// so much that they cannot be compared. age is the tombstone's age by memcached.
func (s tombstone) clockDiffers(age time.Duration, now time.Time) bool {
	return (s.byClock(now) - age).Abs() > clockError
}

// reportClocks logs, once for each Writer, that clocks differ.
func (s *store) reportClocks(age time.Duration, st tombstone, now time.Time) {
	if !s.w.clocksDiffer.Swap(true) {
		s.w.log().Warn("the clocks of two gateways differ; pages are compared with purges to the nearest seconds only: synchronize the clocks (NTP)",
			zap.Duration("difference", (st.byClock(now)-age).Round(time.Second)), zap.String("server", s.addr))
	}
}
