package cachewriter

import (
	"strconv"
	"strings"
)

// A record lies beside a page (KindRecord) and says what the page shows, so that a wide
// purge by any gateway finds it: its tags, and its host and URI if they do not follow
// from its key. It is written with the page, before it, and expires with it.
//
// A page without tags whose key tells the rest has none. A last good copy always has one:
// its own key tells nothing, and its page may be gone. It is the record of the page.
//
// The value is "1 ", and then the host, the URI, the page's raw key and the tags, each as
// a netstring: its length, a colon, its bytes and a comma. So no tag can be taken for a
// part of another.
type record struct {
	host, uri, key string
	tags           []string
}

const recordForm = "1 "

// maxRecord bounds a record, in bytes. It holds 64 KiB of tags of one letter each, with
// what separates them. A record that would be larger is not written. Then the page's
// flags say that its tags are not known.
const maxRecord = 192 << 10

func (r record) append(b []byte) []byte {
	b = append(b, recordForm...)
	for _, part := range [...]string{r.host, r.uri, r.key} {
		b = appendNetstring(b, part)
	}
	for _, tag := range r.tags {
		b = appendNetstring(b, tag)
	}
	return b
}

func appendNetstring(b []byte, s string) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, ':')
	b = append(b, s...)
	return append(b, ',')
}

// size is the length of append's result, or more than maxRecord.
func (r record) size() int {
	n := len(recordForm)
	for _, part := range [...]string{r.host, r.uri, r.key} {
		n += netstringSize(part)
	}
	for _, tag := range r.tags {
		if n += netstringSize(tag); n > maxRecord {
			break
		}
	}
	return n
}

func netstringSize(s string) int { return len(strconv.Itoa(len(s))) + len(s) + 2 }

// parseRecord returns the record of a value. It shares memory with it.
func parseRecord(value string) (r record, ok bool) {
	rest, ok := strings.CutPrefix(value, recordForm)
	for _, part := range [...]*string{&r.host, &r.uri, &r.key} {
		if ok {
			*part, rest, ok = cutNetstring(rest)
		}
	}
	for ok && rest != "" {
		var tag string
		tag, rest, ok = cutNetstring(rest)
		r.tags = append(r.tags, tag)
	}
	if !ok {
		return record{}, false
	}
	return r, true
}

func cutNetstring(s string) (text, rest string, ok bool) {
	digits, rest, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil || n >= uint64(len(rest)) || rest[n] != ',' || strconv.FormatUint(n, 10) != digits {
		return "", s, false
	}
	return rest[:n], rest[n+1:], true
}

// recordKey is the key of the record beside a tombstone.
func recordKey(tomb string) string {
	return "uwg:" + KindRecord + strings.TrimPrefix(tomb, "uwg:"+KindTombstone)
}

// copyPrefix is how the keys of last good copies begin.
var copyPrefix = []byte("uwg:" + KindCopy + ":")

// isCopy reports whether a key is of a last good copy.
func isCopy(key string) bool { return strings.HasPrefix(key, "uwg:"+KindCopy+":") }

// describe sets what belongs to an entry's subject: the flags, and the record if it needs
// one.
func (it *item) describe(w *Writer, e Entry) {
	it.subject = w.subjectOf(e)
	it.flags &^= ReservedFlags
	if e.Of == "" || isCopy(e.Key) {
		it.flags |= FlagStored
	}
	if e.Of == "" {
		if len(it.subject.Tags) > 0 || it.subject.TagsLost {
			it.flags |= FlagTagged
		}
		if e.Recorded {
			it.flags |= FlagRecorded
		}
	}
	it.recorded = it.flags&(FlagTagged|FlagRecorded) != 0 || isCopy(e.Key)
	r := record{it.subject.Host, it.subject.URI, it.of, it.subject.Tags}
	if !it.recorded || it.subject.TagsLost {
		return
	}
	if n := r.size(); n <= maxRecord {
		it.record = r.append(make([]byte, 0, n))
	}
}

// subjectOf returns an entry's subject. What it does not say may follow from its key.
func (w *Writer) subjectOf(e Entry) Subject {
	s := e.Subject
	if s.Host != "" && s.URI != "" || e.Recorded || w.Subject == nil {
		return s
	}
	key := e.Key
	if e.Of != "" {
		key = e.Of
	}
	if told, ok := w.Subject(key); ok {
		s.Host, s.URI = told.Host, told.URI
	}
	return s
}
