package cachewriter

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// purgeLogKeys are the keys of the log. They differ in many bytes, since the hashes of
// proxies tell neighbours hardly apart.
var purgeLogKeys = func() (keys [purgeLogCopies]string) {
	for i := range keys {
		keys[i] = Sibling(kindPurgeLog, strconv.Itoa(i))
	}
	return keys
}()

// purgeLogKeyOf is the key that a page with that tombstone reads. It spreads the pages.
func purgeLogKeyOf(tomb string) string { return purgeLogKeys[tomb[len(tomb)-2]%purgeLogCopies] }

// knownLogs are the logs that were read last, one for each key.
type knownLogs [purgeLogCopies]atomic.Pointer[knownLog]

// A knownLog is a log that was read. It does not change.
type knownLog struct {
	value []byte
	log   *purgeLog     // nil: it cannot be parsed
	ahead time.Duration // how far our clock is ahead of that of the log's process
}

// checkPurgeLog returns ErrPurged if the log, nil if there is none, forbids a page that was
// requested at began. A log that cannot be parsed forbids every page: a later version may
// have written it.
func (s *store) checkPurgeLog(key string, value []byte, page Subject, began time.Time) error {
	if value == nil {
		return nil
	}
	k := s.readPurgeLog(key, value)
	if k.log == nil || k.log.forbids(s.w.process, page, began, k.ahead) {
		return ErrPurged
	}
	return nil
}

func (s *store) readPurgeLog(key string, value []byte) *knownLog {
	last := &s.purgeLog[max(slices.Index(purgeLogKeys[:], key), 0)]
	if k := last.Load(); k != nil && bytes.Equal(k.value, value) {
		return k
	}
	k := &knownLog{value: value}
	k.log, _ = parsePurgeLog(string(value))
	if k.log == nil || k.log.process == s.w.process.id {
		last.Store(k)
		return k
	}
	if age, ok := s.ageOf(key, value); ok {
		k.ahead = s.clockAhead(k.log, age)
		last.Store(k)
	}
	return k
}

// clockAhead is how far our clock is ahead of that of a log's process. It reports clocks
// that differ.
func (s *store) clockAhead(l *purgeLog, age time.Duration) time.Duration {
	now := s.w.clock()
	ahead := l.ahead(age, now)
	if ahead != 0 {
		s.reportClocks(age, tombstone{wall: l.wall}, now)
	}
	return ahead
}

// writePurgeLog adds purges to the log, under all its keys. If some of them were refused
// it returns the first refusal in the end.
func (c *plainClient) writePurgeLog(s *store, purges []loggedPurge) error {
	var refused error
	for _, key := range purgeLogKeys {
		err := c.writePurgeLogAt(s, key, purges)
		if err != nil && !errors.Is(err, ErrRefused) {
			return err
		}
		refused = cmp.Or(refused, err)
	}
	return refused
}

func (c *plainClient) writePurgeLogAt(s *store, key string, purges []loggedPurge) error {
	const ttl = int64(tombstoneLife / time.Second)
	old := casResult{}
	for range maxReplacements {
		now := s.w.clock()
		l := s.ownPurgeLog(key, old, now)
		l.wall = now.UnixNano()
		l.add(l.wall, purges)
		next, err := casResult{}, error(nil)
		if old.found {
			next, err = c.replace(key, l.append(nil), ttl, old.cas)
		} else {
			next, err = c.add(key, l.append(nil), ttl)
		}
		if err != nil || next.stored {
			return err
		}
		old = next
	}
	return errContended
}

// ownPurgeLog returns the log that was found, as one of this process. A log that cannot be
// understood becomes a purge of all pages.
func (s *store) ownPurgeLog(key string, found casResult, now time.Time) *purgeLog {
	own := s.w.process
	if !found.found {
		return &purgeLog{process: own.id}
	}
	l, ok := parsePurgeLog(string(found.value))
	if ok && l.process == own.id {
		return l
	}
	if ok {
		age, known := s.ageOf(key, found.value)
		if known {
			l.moveTo(own, s.clockAhead(l, age))
			return l
		}
		// Nobody can be asked, or the log has just changed. Then the change is refused.
		age = tombstone{wall: l.wall}.byClock(now)
		if age >= -clockError && age <= tombstoneLife {
			l.moveTo(own, 0)
			return l
		}
	}
	return &purgeLog{process: own.id, purges: []loggedPurge{{tombstone: own.tombstone(now), scope: Scope{Kind: ScopeAll}}}}
}
