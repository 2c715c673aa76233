package cachewriter

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"
)

// A purge is a delete of keys, with the tombstone that it leaves.
type purge struct {
	keys []string  // wire keys, all on one server
	tomb string    // wire key of the tombstone; "": it leaves none
	at   time.Time // when they were purged
	lazy bool      // it is for pages that may not be there: see Withdraw
}

// records are the keys of the record, if it is a purge of a page.
func (p purge) records() []string {
	if p.tomb == "" {
		return nil
	}
	return []string{recordKey(p.tomb)}
}

// leavesTombstone reports whether a tombstone is to be written. One that would have
// expired is not.
func (p purge) leavesTombstone(now time.Time) bool {
	return p.tomb != "" && now.Sub(p.at) < maxFillAge
}

// purge writes the tombstone and deletes the keys then. Errors are those of delete.
func (c *client) purge(ctx context.Context, w *Writer, p purge) error {
	if p.tomb == "" {
		return c.delete(ctx, p.keys...)
	}
	return c.plain.link.do(ctx, func() (err error) {
		if p.leavesTombstone(w.clock()) {
			err = c.plain.writeTombstone(w, p)
		}
		if err != nil && !errors.Is(err, ErrRefused) {
			return err
		}
		// A proxy refuses a tombstone whose server is dead. The keys may lie on another.
		return cmp.Or(c.plain.deleteNow(p.keys, p.records()...), err)
	})
}

// purgeAll is purge for many: it takes two round trips, and two more for each tombstone
// that replaces another one. Each delete gets its error; that returned is one by which
// the server has failed. What was cut off is tried again, as in fill.
func (c *client) purgeAll(ctx context.Context, w *Writer, deletes []*pendingDelete) error {
	err := c.plain.link.do(ctx, func() error { return c.plain.purgeNow(w, deletes) })
	if len(deletes) > 1 && isCutOff(err) {
		err = nil
		for i, d := range deletes {
			if err == nil && !d.settled {
				err = c.purgeAll(ctx, w, deletes[i:i+1])
			}
		}
	}
	for _, d := range deletes {
		if err != nil && !d.settled {
			d.settled, d.err = true, err
		}
	}
	return err
}

func (p *plainClient) purgeNow(w *Writer, deletes []*pendingDelete) error {
	for _, d := range deletes {
		d.settled, d.err = false, nil // this may be the second attempt
	}
	if err := p.writeTombstones(w, deletes); err != nil {
		return err
	}
	records := recordsOf(deletes)
	return p.talkLines(len(deletes)+len(records), func(o *output) {
		for _, d := range deletes {
			o.command("delete", d.key)
		}
		for _, key := range records {
			o.command("delete", key)
		}
	}, func(i int, line string) error {
		err := deleted(line)
		if err != nil && !errors.Is(err, ErrRefused) {
			return err
		}
		if i >= len(deletes) {
			return nil
		}
		d := deletes[i]
		d.found = line == "DELETED"
		// A proxy refuses a tombstone whose server is dead. The key may lie on another.
		d.settled, d.err = true, cmp.Or(err, d.err)
		return nil
	})
}

func recordsOf(deletes []*pendingDelete) (keys []string) {
	last := ""
	for _, d := range deletes {
		if d.tomb != "" && !d.lazy && d.tomb != last { // a page is followed by its copy
			keys, last = append(keys, recordKey(d.tomb)), d.tomb
		}
	}
	return keys
}

// writeTombstones writes the tombstones of deletes. A delete whose tombstone was refused
// has that error.
func (p *plainClient) writeTombstones(w *Writer, deletes []*pendingDelete) error {
	now, last := w.clock(), ""
	var wanted []*pendingDelete
	for _, d := range deletes {
		if !d.lazy && d.purge().leavesTombstone(now) && d.tomb != last { // a page is followed by its copy
			wanted, last = append(wanted, d), d.tomb
		}
	}
	replaced, err := p.addTombstones(w, wanted)
	if err != nil {
		return err
	}
	for _, d := range replaced {
		if d.err = p.writeTombstone(w, d.purge()); d.err != nil && !errors.Is(d.err, ErrRefused) {
			return d.err
		}
	}
	return nil
}

// addTombstones adds tombstones, and returns the deletes that have an older one.
func (p *plainClient) addTombstones(w *Writer, deletes []*pendingDelete) (replaced []*pendingDelete, err error) {
	err = p.talkLines(len(deletes), func(o *output) {
		for _, d := range deletes {
			o.storage("add", d.tomb, w.process.tombstone(d.at).append(nil), 0, w.tombstoneTTL(d.at))
		}
	}, func(i int, line string) error {
		switch {
		case line == "STORED":
		case line == "NOT_STORED":
			replaced = append(replaced, deletes[i])
		case strings.HasPrefix(line, "SERVER_ERROR"):
			deletes[i].err = refusal(line)
		default:
			return unexpected(line)
		}
		return nil
	})
	return replaced, err
}
