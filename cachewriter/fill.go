package cachewriter

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// A fill is an entry that is being written, with the checks of its page's tombstone.
type fill struct {
	key     string // wire key
	body    []byte
	flags   uint32
	exptime int32
	tomb    string // wire key of the tombstone
	record  []byte // nil: it has none, or its record is too large
	recKey  string // wire key of the record; "": it has none
	it      *item
	store   *store

	before  looked // what there was before the entry was written
	settled bool   // err is known
	err     error  // nil, ErrRefused or ErrPurged; see client.fill
	unsure  bool   // the entry may be stored though err is set
}

// newFill returns what is needed to write an item now.
func (s *store) newFill(it *item, now time.Time) *fill {
	f := &fill{
		key: it.key, body: it.body, flags: it.flags, exptime: exptime(now, it.expires),
		tomb: Sibling(KindTombstone, it.of), it: it, store: s,
	}
	if it.recorded {
		f.record, f.recKey = it.record, recordKey(f.tomb)
	}
	return f
}

// check returns ErrPurged if the page was purged after it was requested.
func (f *fill) check(l looked) error {
	if f.isPurgedHere() {
		return ErrPurged
	}
	if err := f.store.checkTombstone(f.tomb, l.tomb, f.it.began); err != nil {
		return err
	}
	for _, log := range l.logs {
		if err := f.store.checkPurgeLog(log.key, log.value, f.it.subject, f.it.began); err != nil {
			return err
		}
	}
	return nil
}

// recheck is check after the entry was written.
func (f *fill) recheck(l looked) error {
	if f.before.equal(l) && !f.isPurgedHere() {
		return nil
	}
	return f.check(l)
}

// isPurgedHere reports whether a wide purge of this Writer came after the request.
func (f *fill) isPurgedHere() bool { return f.store.w.wide.since(f.it.subject, f.it.began) }

func (f *fill) settle(err error) { f.settled, f.err = true, err }

// fill stores entries, unless their pages were purged after they were requested. It
// takes three round trips for all of them: tombstones with the purge log, entries with
// their records, and the former again. Each fill gets its error: nil, one that wraps ErrRefused, or ErrPurged. Then the entry is
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
	before, err := p.look(fills)
	if err != nil {
		return err
	}
	var wanted, stored []*fill
	for _, f := range fills {
		f.settled, f.err, f.before = false, nil, before.of(f) // this may be the second attempt
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
	after, err := p.look(stored)
	if err != nil {
		return err
	}
	return p.settleStored(stored, after)
}

// A looked is what forbids fills: a tombstone, and the purge log under one or more of its
// keys. nil is nothing.
type looked struct {
	tomb []byte
	logs []logValue
}

type logValue struct {
	key   string
	value []byte
}

func (l looked) equal(o looked) bool {
	return bytes.Equal(l.tomb, o.tomb) && slices.EqualFunc(l.logs, o.logs, func(a, b logValue) bool {
		return a.key == b.key && bytes.Equal(a.value, b.value)
	})
}

// lookedAll are the tombstones of several pages, by wire keys, and the purge log.
type lookedAll struct {
	tombs map[string][]byte
	logs  []logValue
}

func (l lookedAll) of(f *fill) looked { return looked{l.tombs[f.tomb], l.logs} }

// look reads the tombstones of the fills' pages, and the purge log.
func (p *plainClient) look(fills []*fill) (l lookedAll, err error) {
	if len(fills) == 0 {
		return l, nil
	}
	log := purgeLogKeyOf(fills[0].tomb)
	keys := append(make([]string, 0, len(fills)+1), log)
	for i, f := range fills {
		if i == 0 || f.tomb != fills[i-1].tomb { // a page is followed by its copy
			keys = append(keys, f.tomb)
		}
	}
	l.tombs, err = p.readAll(keys)
	if len(fills) == 1 && isCutOff(err) {
		return p.lookAlone(fills[0])
	}
	l.logs = []logValue{{log, l.tombs[log]}}
	return l, err
}

// lookAlone reads the tombstone and the log one by one: a proxy does not collect values if
// one of its servers is dead. One key of the log is enough, but others may say more.
func (p *plainClient) lookAlone(f *fill) (l lookedAll, err error) {
	l.tombs = make(map[string][]byte)
	var refused error
	err = p.talkLines(1+purgeLogCopies, func(o *output) {
		o.get(f.tomb)
		for _, key := range purgeLogKeys {
			o.get(key)
		}
	}, func(i int, line string) error {
		if i > 0 && isRefusal(line) {
			refused = refusal(line)
			return nil
		}
		if i > 0 {
			l.logs = append(l.logs, logValue{key: purgeLogKeys[i-1]})
		}
		return p.readValues(line, l.tombs)
	})
	for i := range l.logs {
		l.logs[i].value = l.tombs[l.logs[i].key]
	}
	if err == nil && l.logs == nil {
		err = refused
	}
	return l, err
}

// store sends the entries, each after its record. It settles those that are refused.
func (p *plainClient) store(fills []*fill) error {
	steps := storeSteps(fills)
	var lost []string // records that were refused
	err := p.talkLines(len(steps), func(o *output) {
		for _, s := range steps {
			s.send(o)
		}
	}, func(i int, line string) error {
		if steps[i].key != "" {
			err := steps[i].recorded(line)
			if errors.Is(err, ErrRefused) && isSkipped(line) {
				lost, err = append(lost, steps[i].key), nil
			}
			return err
		}
		return steps[i].stored(line)
	})
	if err != nil || lost == nil {
		return err
	}
	return p.deleteNow(lost) // an older record may be there
}

// A storeStep is one command of store: for a fill's page, or for its record.
type storeStep struct {
	*fill
	key     string // of the record; "": the step is for the page
	exptime int32  // of the record
}

// storeSteps are the commands for fills. A page and its copy have one record.
func storeSteps(fills []*fill) []storeStep {
	steps := make([]storeStep, 0, len(fills))
	for i, f := range fills {
		if f.recKey != "" && (i == 0 || !f.sharesRecord(fills[i-1])) {
			exptime := f.exptime
			if i+1 < len(fills) && f.sharesRecord(fills[i+1]) {
				exptime = max(exptime, fills[i+1].exptime)
			}
			steps = append(steps, storeStep{f, f.recKey, exptime})
		}
		steps = append(steps, storeStep{fill: f})
	}
	return steps
}

func (f *fill) sharesRecord(o *fill) bool {
	return f.recKey == o.recKey && bytes.Equal(f.record, o.record)
}

func (s storeStep) send(o *output) {
	switch {
	case s.key == "":
		s.unsure = true
		o.storage("set", s.fill.key, s.body, int64(s.flags), int64(s.fill.exptime))
	case s.record == nil:
		o.command("delete", s.key)
	default:
		o.storage("set", s.key, s.record, 0, int64(s.exptime))
	}
}

func (s storeStep) recorded(line string) error {
	if s.record == nil {
		return deleted(line)
	}
	if line == "STORED" {
		return nil
	}
	return unexpected(line)
}

func (f *fill) stored(line string) error {
	if line == "STORED" {
		return nil
	}
	err := unexpected(line)
	if !errors.Is(err, ErrRefused) {
		return err
	}
	f.unsure = false
	f.settle(err)
	if isSkipped(line) {
		return nil
	}
	return err
}

// isSkipped reports whether memcached has skipped the value of a set that it refused.
func isSkipped(line string) bool {
	return strings.HasPrefix(line, "SERVER_ERROR") || line == "NOT_STORED"
}

// settleStored deletes the entries whose pages were purged while they were stored, and
// settles all.
func (p *plainClient) settleStored(stored []*fill, after lookedAll) error {
	var purged []*fill
	var keys, records []string
	for _, f := range stored {
		if f.recheck(after.of(f)) != nil {
			purged, keys = append(purged, f), append(keys, f.key)
			if f.recKey != "" {
				records = append(records, f.recKey)
			}
			continue
		}
		f.unsure = false
		f.settle(nil)
	}
	if len(keys) == 0 {
		return nil
	}
	if err := p.deleteNow(keys, records...); err != nil {
		return err
	}
	for _, f := range purged {
		f.unsure = false
		f.settle(ErrPurged)
	}
	return nil
}
