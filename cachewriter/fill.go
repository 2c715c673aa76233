package cachewriter

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"
)

// A fill is an entry that is being written, with the checks of its page's tombstone.
type fill struct {
	key     string // wire key
	body    []byte
	flags   uint32
	exptime int32
	tomb    string
	check   func(value []byte) error // see store.checkTombstone; nil: there is no tombstone

	before  []byte // the tombstone before the entry was written
	settled bool   // err is known
	err     error  // nil, ErrRefused or ErrPurged; see client.fill
	unsure  bool   // the entry may be stored though err is set
}

// newFill returns what is needed to write an item now.
func (s *store) newFill(it *item, now time.Time) *fill {
	f := &fill{
		key: it.key, body: it.body, flags: it.flags, exptime: exptime(now, it.expires),
		tomb: Sibling(KindTombstone, it.of),
	}
	f.check = func(value []byte) error { return s.checkTombstone(f.tomb, value, it.began) }
	return f
}

func (f *fill) settle(err error) { f.settled, f.err = true, err }

// fill stores entries, unless their pages were purged after they were requested. It
// takes three round trips for all of them: tombstones, entries, tombstones again. Each
// fill gets its error: nil, one that wraps ErrRefused, or ErrPurged. Then the entry is
// not stored, and was not for longer than two round trips. fill returns an error if the
// server failed or ctx has ended; it is the error of all fills that were not settled
// before.
//
// What a refusal or a closed connection has cut off is tried again, one entry at a time: a
// proxy does that if the server of one tombstone is dead.
func (c *client) fill(ctx context.Context, fills []*fill) error {
	err := c.plain.link.do(ctx, func() error { return c.plain.fillNow(fills) })
	if len(fills) > 1 && isCutOff(err) {
		err = nil
		for i, f := range fills {
			if err == nil && !f.settled {
				err = c.fill(ctx, fills[i:i+1])
			}
		}
	}
	for _, f := range fills {
		if err != nil && !f.settled {
			f.settle(err)
		}
	}
	if errors.Is(err, ErrRefused) {
		return nil // the server is well
	}
	return err
}

func (p *plainClient) fillNow(fills []*fill) error {
	tombs, err := p.readTombstones(fills)
	if err != nil {
		return err
	}
	var wanted, stored []*fill
	for _, f := range fills {
		f.settled, f.err, f.before = false, nil, tombs[f.tomb] // this may be the second attempt
		if err := f.check(f.before); err != nil {
			f.settle(err)
			continue
		}
		wanted = append(wanted, f)
	}
	if err := p.store(wanted); err != nil {
		return err
	}
	for _, f := range wanted {
		if !f.settled {
			stored = append(stored, f)
		}
	}
	if tombs, err = p.readTombstones(stored); err != nil {
		return err
	}
	return p.settleStored(stored, tombs)
}

// readTombstones returns the tombstones of the fills' pages, by wire keys.
func (p *plainClient) readTombstones(fills []*fill) (map[string][]byte, error) {
	keys := make([]string, 0, len(fills))
	for i, f := range fills {
		if i == 0 || f.tomb != fills[i-1].tomb { // a page is followed by its copy
			keys = append(keys, f.tomb)
		}
	}
	return p.readAll(keys)
}

// store sends the entries. It settles those that are refused.
func (p *plainClient) store(fills []*fill) error {
	return p.talkLines(len(fills), func(o *output) {
		for _, f := range fills {
			f.unsure = true
			o.storage("set", f.key, f.body, int64(f.flags), int64(f.exptime))
		}
	}, func(i int, line string) error {
		if line == "STORED" {
			return nil
		}
		err := unexpected(line)
		if !errors.Is(err, ErrRefused) {
			return err
		}
		fills[i].unsure = false
		fills[i].settle(err)
		if strings.HasPrefix(line, "SERVER_ERROR") || line == "NOT_STORED" {
			return nil // memcached has skipped the value
		}
		return err
	})
}

// settleStored deletes the entries whose pages were purged while they were stored, and
// settles all.
func (p *plainClient) settleStored(stored []*fill, tombs map[string][]byte) error {
	var purged []*fill
	var keys []string
	for _, f := range stored {
		tomb := tombs[f.tomb]
		if !bytes.Equal(f.before, tomb) && f.check(tomb) != nil {
			purged, keys = append(purged, f), append(keys, f.key)
			continue
		}
		f.unsure = false
		f.settle(nil)
	}
	if len(keys) == 0 {
		return nil
	}
	if err := p.deleteNow(keys); err != nil {
		return err
	}
	for _, f := range purged {
		f.unsure = false
		f.settle(ErrPurged)
	}
	return nil
}
