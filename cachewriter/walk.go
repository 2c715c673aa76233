package cachewriter

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A walker goes through the keys of one server. It asks for the client flags of each, and
// visits the pages that a Writer has stored, and their last good copies. Whoever visits
// decides which are deleted. A goroutine of its own lists the keys, while others are
// asked for, many at a time.
type walker struct {
	s      *store
	client *plainClient

	// visit reports whether a page, or a copy, is to be deleted.
	visit func(*walked) (remove bool)

	// pagesOnly leaves out the copies.
	pagesOnly bool

	// keepRecords lets the records of copies that are deleted stay.
	keepRecords bool
}

// A walked is what a walk has come to.
type walked struct {
	Found
	wire   string
	isCopy bool
	item   metaItem
}

// walkPatience bounds the responses to a batch.
const walkPatience = 5 * time.Second

// walk visits all pages of the server. Errors are ErrNoMeta, errNoDump, the cause of
// ctx's end and others. After them some pages were not visited.
func (s *store) walk(ctx context.Context, w *walker) error {
	select {
	case s.walking <- struct{}{}:
		defer func() { <-s.walking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	began := time.Now()
	err := s.walkAll(ctx, w)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.WalkTime += time.Since(began)
	switch {
	case err == nil:
		s.stats.Walks++
	case !errors.Is(err, errStopped):
		s.stats.WalkErrors++
	}
	return err
}

func (s *store) walkAll(ctx context.Context, w *walker) error {
	dial, cancel := context.WithTimeoutCause(ctx, walkPatience, errTimeout)
	_, err := s.meta.connection(dial)
	cancel()
	if err != nil {
		return err
	}
	w.s = s
	w.client = &plainClient{link: newLink(s.addr, s.w.dialTimeout()), timeout: max(s.w.OperationTimeout(), walkPatience)}
	defer w.client.close()
	for part, parts := 0, 1; part < parts; {
		switch err := w.walkPart(ctx, part, parts); {
		case errors.Is(err, errManyKeys): // some pages are visited twice
			part, parts = part*manyParts, parts*manyParts
		case err != nil:
			return err
		default:
			part++
		}
	}
	return nil
}

// manyParts is how many parts become of one that has too many keys.
const manyParts = 4

// walkPart visits one of so many parts of the pages.
func (w *walker) walkPart(ctx context.Context, part, parts int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	keys := newKeyList(positive(w.s.w.maxListed, maxChunks))
	var list sync.WaitGroup
	list.Go(func() { w.list(ctx, keys, part, parts) })
	defer list.Wait()
	defer cancel()
	for {
		batch, err := keys.next()
		if err != nil || batch == nil {
			return err
		}
		if err := w.client.link.once(ctx, func() error { return w.batch(batch) }); err != nil {
			return err
		}
	}
}

// list is the goroutine that lists the keys of a part.
func (w *walker) list(ctx context.Context, keys *keyList, part, parts int) {
	keys.end(dump(ctx, w.s.addr, w.s.w.dialTimeout(), func(key []byte) error {
		if !w.wants(key) || parts > 1 && w.partOf(key, parts) != part {
			return nil
		}
		return keys.add(key)
	}))
}

// partOf is the part to which a key belongs. Part i of n consists of the parts from i·m to
// i·m+m-1 of n·m.
func (w *walker) partOf(key []byte, parts int) int {
	part, _ := bits.Mul64(maphash.Bytes(w.s.w.purges.seed, key), uint64(parts))
	return int(part)
}

func (w *walker) wants(key []byte) bool {
	return !bytes.HasPrefix(key, []byte("uwg:")) || !w.pagesOnly && bytes.HasPrefix(key, copyPrefix)
}

// batch visits what lies under keys.
func (w *walker) batch(keys []string) error {
	all, err := w.pages(keys)
	if err != nil {
		return err
	}
	if err := w.describe(all); err != nil {
		return err
	}
	var removed []*walked
	for _, p := range all {
		if w.visit(p) {
			removed = append(removed, p)
		}
	}
	return w.remove(removed)
}

// pages returns the pages and the copies under keys. What a Writer has not stored is left
// out, whatever its key looks like.
func (w *walker) pages(keys []string) (all []*walked, err error) {
	var stale []*walked
	err = w.client.talkMeta(len(keys), func(o *output) {
		for _, key := range keys {
			o.WriteString("mg ")
			o.WriteString(key)
			o.WriteString(" f c h l t s u\r\n")
		}
	}, func(i int, reply metaReply) error {
		p := &walked{wire: keys[i], isCopy: isCopy(keys[i]), item: reply.item}
		raw, ok := unescapeKey(p.wire)
		p.Key = raw
		switch {
		case reply.status == "EN":
		case reply.status != "HD":
			return reply.unexpected()
		case ok && p.item.flags&FlagStored != 0:
			all = append(all, p)
		case p.item.won:
			stale = append(stale, p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, w.giveBack(stale)
}

// giveBack marks entries of others as stale once more: memcached has given the right to
// refresh them to this client.
func (w *walker) giveBack(stale []*walked) error {
	return w.client.talkMeta(len(stale), func(o *output) {
		for _, p := range stale {
			o.WriteString("md " + p.wire + " I" + token(" C", p.item.cas) + "\r\n")
		}
	}, func(int, metaReply) error { return nil })
}

// describe sets what is found of pages and copies. It reads their records if they have
// some.
func (w *walker) describe(all []*walked) error {
	now := w.s.w.clock()
	var recorded []*walked
	for _, p := range all {
		if w.needsRecord(p) {
			recorded = append(recorded, p)
		}
		p.Server = w.s.addr
		p.usage(now)
	}
	return w.client.talkMeta(len(recorded), func(o *output) {
		for _, p := range recorded {
			o.WriteString("mg " + p.recordKey() + " v u\r\n")
		}
	}, func(i int, reply metaReply) error {
		switch reply.status {
		case "EN":
		case "VA":
			if r, ok := parseRecord(string(reply.item.value)); ok {
				recorded[i].tell(r)
			}
		default:
			return reply.unexpected()
		}
		return nil
	})
}

// needsRecord sets the subject as far as it is known without a record, and reports whether
// a record says more.
func (w *walker) needsRecord(p *walked) bool {
	told := false
	if !p.isCopy && p.item.flags&FlagRecorded == 0 && w.s.w.Subject != nil {
		p.Subject, told = w.s.w.Subject(p.Key)
	}
	if !told {
		p.Subject = Subject{}
	}
	p.Subject.Tags, p.Subject.TagsLost = nil, p.isCopy || p.item.flags&FlagTagged != 0
	p.Known = told && !p.Subject.TagsLost
	return !p.Known
}

// tell sets the subject by the record.
func (p *walked) tell(r record) {
	if !p.isCopy && r.key != p.Key {
		return // the hash of its key is another's, too
	}
	hadTags := p.Subject.TagsLost
	p.Subject, p.Known = Subject{Host: r.host, URI: r.uri}, true
	if hadTags {
		p.Subject.Tags = r.tags
	}
}

func (p *walked) usage(now time.Time) {
	p.Size, p.Fetched = int64(p.item.size), p.item.hit
	p.Accessed = now.Add(-p.item.lastAccess)
	if p.item.ttl != Forever {
		p.Expires = now.Add(p.item.ttl)
	}
}

func (p *walked) recordKey() string {
	if p.isCopy {
		return "uwg:" + KindRecord + strings.TrimPrefix(p.wire, "uwg:"+KindCopy)
	}
	return Sibling(KindRecord, p.Key)
}

// remove deletes pages with their copies and records, and copies. A page that has changed
// since it was looked at stays: whoever has stored it has looked at the log of purges.
func (w *walker) remove(all []*walked) error {
	if len(all) == 0 {
		return nil
	}
	n := 0
	return w.client.talkMetas(func(o *output) int {
		for _, p := range all {
			o.WriteString("md " + p.wire + token(" C", p.item.cas) + "\r\n")
			n++
			if !p.isCopy {
				o.command("md", Sibling(KindCopy, p.Key))
				n++
			}
			if !p.isCopy || !w.keepRecords {
				o.command("md", p.recordKey())
				n++
			}
		}
		return n
	}, func(_ int, reply metaReply) error {
		if reply.status == "HD" || reply.status == "NF" || reply.status == "EX" {
			return nil
		}
		return reply.unexpected()
	})
}

// talkMeta sends n meta commands and passes the responses to read, one by one.
func (p *plainClient) talkMeta(n int, command func(*output), read func(i int, reply metaReply) error) error {
	if n == 0 {
		return nil
	}
	return p.talkMetas(func(o *output) int { command(o); return n }, read)
}

// talkMetas is talkMeta for commands that command counts.
func (p *plainClient) talkMetas(command func(*output) int, read func(i int, reply metaReply) error) (err error) {
	if err := p.connect(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	p.nc.SetDeadline(time.Now().Add(p.timeout))
	n := command(&p.out)
	if err := p.out.send(p.nc); err != nil {
		return err
	}
	for i := range n {
		reply, err := readMetaReply(p.r)
		if err == nil {
			err = read(i, reply)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unexpected is the error of a response that the command never has.
func (r metaReply) unexpected() error {
	if r.status == "" {
		return refusal(r.line)
	}
	return errors.New("unexpected response " + strconv.Quote(r.status))
}
