package cachewriter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A Sighting is an entry that a survey has come to.
type Sighting struct {
	Server   string
	Key      string // raw
	Subject  Subject
	Known    bool // Subject is that of the page; else another program may have stored the entry
	Size     int64
	Fetched  bool      // read since it was stored
	Accessed time.Time // when it was read or stored; memcached notes that about once a minute
	Expires  time.Time // zero: never
}

// A SurveyEnd is how the survey of a server ended.
type SurveyEnd struct {
	Server string
	Seen   int   // entries that were visited
	Whole  bool  // there are no others
	Err    error // why no more were seen; nil if Seen has reached the limit
}

var (
	errSurveyed = errors.New("enough entries were seen")
	errWalked   = errors.New("a purge lists the keys of the server")
)

// Survey calls visit with entries of all servers, one server after the other, at most limit of
// each, and without the entries by which uwgate keeps its records. The first entries of a
// server's hash table are as good as any sample. It only reads lists of keys
// (lru_crawler metadump), no values, and leaves no trace. It gives way to purges: a server on
// which one lists the keys is left out. Calls of visit do not overlap; visit must be quick.
func (w *Writer) Survey(ctx context.Context, limit int, visit func(Sighting)) []SurveyEnd {
	t := w.servers()
	var ends []SurveyEnd
	for _, addr := range t.ring.live {
		ends = append(ends, t.stores[addr].survey(ctx, limit, visit))
	}
	return ends
}

func (s *store) survey(ctx context.Context, limit int, visit func(Sighting)) SurveyEnd {
	end := SurveyEnd{Server: s.addr}
	select {
	case s.walking <- struct{}{}:
		defer func() { <-s.walking }()
	default:
		end.Err = errWalked
		return end
	}
	err := dumpLines(ctx, s.addr, s.w.dialTimeout(), func(wire, rest []byte) error {
		if bytes.HasPrefix(wire, []byte("uwg:")) {
			return nil
		}
		if end.Seen == limit {
			return errSurveyed
		}
		end.Seen++
		visit(s.sighting(string(wire), rest))
		return nil
	})
	switch {
	case err == nil:
		end.Whole = true
	case !errors.Is(err, errSurveyed):
		end.Err = fmt.Errorf("cachewriter: survey of %s: %w", s.addr, err)
	}
	return end
}

// sighting reads the rest of a line of a list of keys.
func (s *store) sighting(wire string, rest []byte) Sighting {
	e := Sighting{Server: s.addr}
	if raw, ok := unescapeKey(wire); ok {
		e.Key = raw
		if s.w.Subject != nil {
			e.Subject, e.Known = s.w.Subject(raw)
		}
	}
	for word := range bytes.FieldsSeq(rest) {
		name, value, _ := bytes.Cut(word, []byte("="))
		n, err := strconv.ParseInt(string(value), 10, 64)
		switch {
		case string(name) == "fetch":
			e.Fetched = string(value) == "yes"
		case err != nil:
		case string(name) == "exp" && n > 0:
			e.Expires = time.Unix(n, 0)
		case string(name) == "la":
			e.Accessed = time.Unix(n, 0)
		case string(name) == "size":
			e.Size = n
		}
	}
	return e
}
