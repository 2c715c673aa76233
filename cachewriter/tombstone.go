package cachewriter

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// A tombstone lies beside a page that was purged (KindTombstone) and says when that
// was. Whoever writes the page looks at it before and after: a page that was asked for
// before the purge may be the one that had to go. So a purge holds for the fills of
// all gateways, whether they run now or start later.
//
// The value is "1", the process that purged, its wall clock in nanoseconds of Unix
// time, and the nanoseconds since that process began.
//
// Two purges of a page may overlap, and the tombstone of the later one must stay. So it
// is added, or replaces with cas what has been read before; and what replaces another
// process's bears the time of the replacement, which is after both purges.
//
// A proxy may put the page on one server and its tombstone on another, and keeps no
// order between the two. So every step waits for the answer to the one before.

const (
	// tombstoneLife is how long a tombstone lies there.
	tombstoneLife = 15 * time.Minute

	// maxFillAge bounds the time from a page's request to its store: what a
	// tombstone said of an older one may have expired.
	maxFillAge = tombstoneLife - 10*time.Second

	// clockSkew is how far the clocks of two gateways may differ.
	clockSkew = 100 * time.Millisecond

	// clockError is how far a tombstone's age by our clock and by memcached's may
	// differ. memcached counts whole seconds.
	clockError = 2 * time.Second

	// maxReplacements bounds the attempts to replace a tombstone that others
	// replace, too.
	maxReplacements = 16
)

const tombstoneForm = "1"

var errContended = fmt.Errorf("%w: too many purges of one page at a time", ErrRefused)

// A stone is what a tombstone says.
type tombstone struct {
	process string
	wall    int64         // in nanoseconds of Unix time
	since   time.Duration // that process began
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

// A process tells the tombstones of one Writer from those of others.
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

// covers reports whether s is of a purge that came after began. Of a stone of its own
// the process knows exactly.
func (p process) covers(s tombstone, began time.Time) bool {
	if s.process == p.id {
		return s.since >= began.Sub(p.began)
	}
	return s.wall+int64(clockSkew) >= began.UnixNano()
}

// A purge is a deletion, of which a tombstone tells.
type purge struct {
	keys []string  // wire keys, all on one server
	tomb string    // wire key of the tombstone; "": there is none
	at   time.Time // when they were purged
}

// purge deletes keys after it has set up their tombstone. Errors are delete's.
func (c *client) purge(ctx context.Context, w *Writer, p purge) error {
	if p.tomb == "" || w.clock().Sub(p.at) >= maxFillAge {
		return c.delete(ctx, p.keys...)
	}
	return c.plain.link.do(ctx, func() error {
		err := c.plain.writeTombstone(w, p)
		if err != nil && !errors.Is(err, ErrRefused) {
			return err
		}
		// A proxy refuses what lies on a dead server. The keys may lie on another.
		return cmp.Or(c.plain.deleteNow(p.keys), err)
	})
}

// bury sets the tombstone up.
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
			at = w.clock() // whoever set it up may have purged after p.at
		case w.process.covers(st, at):
			return nil
		}
	}
	return errContended
}

// tombstoneTTL is what is left of the life of a tombstone of that time, in seconds. It
// is right to the second: readers compare memcached's word with the time.
func (w *Writer) tombstoneTTL(at time.Time) int64 {
	left := tombstoneLife - w.clock().Sub(at)
	return max(int64((left+time.Second/2)/time.Second), 1)
}

// A filling is an entry that is being written, with looks at the tombstone of its page.
type fill struct {
	key     string // wire key
	body    []byte
	flags   uint32
	exptime int32
	tomb    string
	purged  func(tombstone []byte) bool // nil is none

	unsure bool // the entry may lie there though fill has failed
}

// fill stores an entry, unless its page was purged after it was asked for. Errors are
// delete's, and ErrPurged: then nothing of the entry is there, nor was for longer than
// two round trips.
func (c *client) fill(ctx context.Context, f *fill) error {
	p := c.plain
	return p.link.do(ctx, func() error {
		before, err := p.read(f.tomb)
		if err != nil {
			return err
		}
		if f.purged(before) {
			return ErrPurged
		}
		f.unsure = true
		if err := p.setNow(f); err != nil {
			f.unsure = !errors.Is(err, ErrRefused)
			return err
		}
		after, err := p.read(f.tomb)
		if err != nil {
			return err
		}
		if bytes.Equal(before, after) || !f.purged(after) {
			f.unsure = false
			return nil
		}
		if err := p.deleteNow([]string{f.key}); err != nil {
			return err
		}
		f.unsure = false
		return ErrPurged
	})
}

// newFilling is what becomes of an item now.
func (s *store) newFill(it *item, now time.Time) *fill {
	f := &fill{
		key: it.key, body: it.body, flags: it.flags, exptime: exptime(now, it.expires),
		tomb: Sibling(KindTombstone, it.of),
	}
	f.purged = func(tombstone []byte) bool { return s.isPurged(f.tomb, tombstone, it.began) }
	return f
}

// isPurged reports whether a tombstone, nil if there is none, keeps out what was asked
// for at began. So does one that cannot be read: a later version may have written it.
func (s *store) isPurged(tomb string, tombstone []byte, began time.Time) bool {
	now := s.w.clock()
	if now.Sub(began) >= maxFillAge {
		return true
	}
	if tombstone == nil {
		return false
	}
	st, ok := parseTombstone(tombstone)
	if !ok {
		return true
	}
	if st.process == s.w.process.id {
		return s.w.process.covers(st, began)
	}
	if age, ok := s.ageOf(tomb, tombstone); ok && s.differs(age, st, now) {
		return now.Sub(began) >= age-clockError
	}
	return s.w.process.covers(st, began)
}

// ageOf is how old a tombstone is by memcached's word, in whole seconds. It is not ok if
// memcached cannot tell, or another one lies there by now.
func (s *store) ageOf(tomb string, value []byte) (age time.Duration, ok bool) {
	it, err := s.meta.get(s.w.life, tomb, metaGet{value: true, unseen: true})
	if err != nil || it == nil || it.ttl == Forever || !bytes.Equal(it.value, value) {
		return 0, false
	}
	return tombstoneLife - it.ttl, true
}

// differs reports whether our clock and another gateway's are so far apart that
// tombstones cannot be compared with it; and logs that once.
func (s *store) differs(age time.Duration, st tombstone, now time.Time) bool {
	byClock := now.Sub(time.Unix(0, st.wall))
	if (byClock - age).Abs() <= clockError {
		return false
	}
	if !s.w.clocksDiffer.Swap(true) {
		s.w.log().Warn("the clocks of two gateways differ; pages are compared with purges to the nearest seconds only: synchronize the clocks (NTP)",
			zap.Duration("difference", (byClock-age).Round(time.Second)), zap.String("server", s.addr))
	}
	return true
}
