package policy

import (
	"strings"

	"github.com/dunglas/httpsfv"

	"uwgate/uwsgi"
)

// The fields that speak to caches like ours alone, over the browser's head.
const (
	fieldCDN       = "CDN-Cache-Control" // RFC 9213 §3
	fieldSurrogate = "Surrogate-Control" // Edge Architecture Specification 1.0 §2.3
)

// A targeted is what a field for caches says: a dictionary of RFC 9651, which is
// valid as a whole or not at all (RFC 9213 §2.1). The zero value is an absent one.
type targeted struct {
	// words holds the refusals, and they alone count even in a field that is
	// broken elsewhere, as they do in Cache-Control.
	words cacheControl

	valid           bool // it keeps its grammar, and is not empty
	maxAge, sMaxAge lifetime
}

var absent targeted // must not be changed

// parseTargeted reads all lines of that name. Its result must not be changed.
func parseTargeted(h uwsgi.Header, name string) *targeted {
	if !h.Has(name) {
		return &absent
	}
	t := &targeted{valid: true}
	for _, line := range h.Values(name) {
		t.words.parse(line)
		t.parse(line, name == fieldSurrogate)
	}
	return t
}

// parse adds one line, member by member, to find a lifetime that is given twice; a
// dictionary would keep the last.
func (t *targeted) parse(line string, isSurrogate bool) {
	for rest, more := line, true; more; {
		member, tail, closed := cutItem(rest, ',')
		more = len(member) < len(rest)
		member, rest = strings.Trim(member, " \t"), tail
		if isSurrogate {
			member = cutGrace(member)
		}
		if !closed || !t.add(member, isSurrogate) {
			t.valid = false
		}
	}
}

// cutGrace cuts the second number off Surrogate-Control's "max-age=60+30", which
// no dictionary can have. It is for stale pages, and ignored.
func cutGrace(member string) string {
	fresh, stale, ok := strings.Cut(member, "+")
	if !ok || !strings.HasPrefix(fresh, "max-age=") {
		return member
	}
	params := strings.TrimLeft(stale, "0123456789")
	if params == stale {
		return member
	}
	return fresh + params
}

// add adds one member. In Surrogate-Control, a member with a parameter addresses
// the one surrogate that it names; elsewhere parameters are ignored (RFC 9213
// §2.1).
func (t *targeted) add(member string, isSurrogate bool) (ok bool) {
	dict, err := httpsfv.UnmarshalDictionary([]string{member})
	if err != nil || len(dict.Names()) != 1 {
		return false
	}
	name := dict.Names()[0]
	value, _ := dict.Get(name)
	item, isItem := value.(httpsfv.Item)
	if isItem && isSurrogate && len(item.Params.Names()) > 0 {
		return true
	}
	seconds, isInteger := item.Value.(int64) // an inner list's Item is the zero one
	_, text, _ := strings.Cut(member, "=")
	switch name {
	case "max-age":
		t.maxAge.add(text, seconds, isInteger)
	case "s-maxage":
		t.sMaxAge.add(text, seconds, isInteger)
	}
	return true
}

// byCDN reads CDN-Cache-Control. If it is there without a lifetime, none is
// granted: Cache-Control and Expires no longer count (RFC 9213 §2.2), and an
// application that addresses us without a lifetime hardly wants the default.
func (h *head) byCDN() grant {
	t := h.cdn
	if t.valid && t.sMaxAge.given {
		return t.sMaxAge.grant()
	}
	g := t.maxAge.grant()
	g.given = t.valid
	return g
}

// bySurrogate reads Surrogate-Control. Without a max-age, other sources decide.
func (h *head) bySurrogate() grant {
	g := h.surrogate.maxAge.grant()
	g.given = g.given && h.surrogate.valid
	return g
}
