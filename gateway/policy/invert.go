package policy

import (
	"math/bits"
	"strings"
)

// A key is read back by what each variable can hold. That may succeed in several
// ways, so all of them are looked at: what they agree on is what the request had.

// A form says which texts a piece of a template renders to: one of words, or a run of
// bytes if there are none.
type form struct {
	words []string

	starts string     // the run's first byte is one of these; "": any
	of     *[256]bool // its bytes; nil: any
	min    int        // its shortest length in bytes
}

// newForm returns the form of a piece. It may permit too much, but never too little
// of what a stored page's key contains.
func newForm(p *piece) form {
	if p.render == nil {
		return form{words: []string{p.text}}
	}
	switch p.text {
	case "scheme", schemeVariable:
		return form{words: []string{"http", "https"}}
	case visitorVariable:
		return form{words: []string{"", bearer}}
	case "https":
		return form{words: []string{"", "on"}}
	case "is_args":
		return form{words: []string{"", "?"}}
	case "request_uri":
		return form{starts: "/?", min: 1}
	case "host": // no page is stored for a host of other bytes: see lacksHost
		return form{of: &lowerHostBytes, min: 1}
	case "http_host":
		return form{of: &hostBytes}
	case "server_name": // may be a regular expression
		return form{of: &noSlash}
	case "server_port", "remote_port":
		return form{of: &digits}
	case "request_method":
		return form{of: &methodBytes, min: 1}
	case "server_protocol":
		return form{of: &protocolBytes}
	case "remote_addr":
		return form{of: &addrBytes}
	}
	return form{}
}

var (
	lowerHostBytes = bytesThat(func(c byte) bool { return hostBytes[c] && lower(c) == c })
	noSlash        = bytesThat(func(c byte) bool { return c != '/' })
	digits         = bytesThat(isDigit)
	methodBytes    = bytesThat(func(c byte) bool { return 'A' <= c && c <= 'Z' || c == '_' || c == '-' })
	protocolBytes  = bytesThat(func(c byte) bool { return isDigit(c) || strings.IndexByte("HTP/.", c) >= 0 })
	addrBytes      = bytesThat(func(c byte) bool { return isDigit(c) || strings.IndexByte("abcdefABCDEF.:unix", c) >= 0 })
)

func bytesThat(are func(byte) bool) (set [256]bool) {
	for c := range set {
		set[c] = are(byte(c))
	}
	return set
}

// ends returns where in a key a piece of that form can end that starts at from.
func (f *form) ends(key string, from int) (to offsets) {
	if f.words != nil {
		for _, word := range f.words {
			if strings.HasPrefix(key[from:], word) {
				to.add(from + len(word))
			}
		}
		return to
	}
	if f.starts != "" && (from == len(key) || strings.IndexByte(f.starts, key[from]) < 0) {
		return to
	}
	end := len(key)
	if f.of != nil {
		for end = from; end < len(key) && f.of[key[end]]; {
			end++
		}
	}
	to.addRange(from+f.min, end)
	return to
}

// maxPieces bounds the work for a template.
const maxPieces = 15

// invert returns the host and the URI of the request for which the template renders
// the key. Each is "" if the key does not tell it, or could tell another one, too.
func (t *Template) invert(key string) (host, uri string) {
	n := len(t.forms)
	if n == 0 || n > maxPieces || len(key) > maxWireKey {
		return "", ""
	}
	// Where the i-th piece can start: first as far as the text before allows it, then
	// only where also the rest of the key can be read.
	var starts [maxPieces + 1]offsets
	starts[0].add(0)
	for i := range t.forms {
		for from := range starts[i].all {
			starts[i+1].join(t.forms[i].ends(key, from))
		}
	}
	starts[n].keep(func(at int) bool { return at == len(key) })
	for i := n - 1; i >= 0; i-- {
		starts[i].keep(func(at int) bool { return t.forms[i].ends(key, at).meets(starts[i+1]) })
	}
	for i := range t.pieces {
		switch p := &t.pieces[i]; {
		case p.render == nil:
		case p.text == "request_uri" && uri == "":
			uri = t.onlyValue(key, i, starts[i], starts[i+1], func(s string) (string, bool) { return s, true })
		case p.text == "host" && host == "":
			host = t.onlyValue(key, i, starts[i], starts[i+1], func(s string) (string, bool) { return s, normalizeHost(s) == s })
		case p.text == "http_host" && host == "":
			host = t.onlyValue(key, i, starts[i], starts[i+1], func(s string) (string, bool) { return normalizeHost(s), true })
		}
	}
	return host, uri
}

// onlyValue returns what read makes of the texts that the i-th piece can have, if that
// is one value. read reports whether the piece can have the text.
func (t *Template) onlyValue(key string, i int, from, to offsets, read func(string) (string, bool)) (only string) {
	found := false
	for start := range from.all {
		ends := t.forms[i].ends(key, start)
		ends.and(to)
		for end := range ends.all {
			value, ok := read(key[start:end])
			switch {
			case !ok:
			case found && value != only:
				return ""
			default:
				only, found = value, true
			}
		}
	}
	return only
}

// offsets is a set of offsets in a key, up to its length.
type offsets [(maxWireKey + 64) / 64]uint64

func (o *offsets) add(at int) { o[at/64] |= 1 << (at % 64) }

// addRange adds first to last, and nothing if last is less.
func (o *offsets) addRange(first, last int) {
	for at := first; at <= last; {
		word := at / 64
		next := min(last+1, (word+1)*64)
		o[word] |= (^uint64(0) >> (64 - (next - at))) << (at % 64)
		at = next
	}
}

func (o *offsets) join(other offsets) {
	for i := range o {
		o[i] |= other[i]
	}
}

func (o *offsets) and(other offsets) {
	for i := range o {
		o[i] &= other[i]
	}
}

func (o offsets) meets(other offsets) bool {
	o.and(other)
	return o != offsets{}
}

// keep removes the offsets for which f returns false.
func (o *offsets) keep(f func(at int) bool) {
	for at := range o.all {
		if !f(at) {
			o[at/64] &^= 1 << (at % 64)
		}
	}
}

// all yields the offsets, the smallest first.
func (o offsets) all(yield func(int) bool) {
	for i, word := range o {
		for ; word != 0; word &= word - 1 {
			if !yield(i*64 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}
