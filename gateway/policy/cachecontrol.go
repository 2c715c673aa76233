package policy

import "strings"

// A cacheControl holds the directives of Cache-Control fields that matter here
// (RFC 9111 §5.2). The zero value is an absent field.
type cacheControl struct {
	noStore, private, noCache bool
	mustUnderstand            bool // well-formed

	maxAge, sMaxAge lifetime

	mustRevalidate           bool     // or proxy-revalidate
	forAuthorized            bool     // public or must-revalidate, well-formed: RFC 9111 §3.5
	whileRevalidate, ifError lifetime // stale-…
}

// A lifetime is delta-seconds (RFC 9111 §1.2.2), as far as they can be trusted.
type lifetime struct {
	given   bool
	bad     bool // malformed, or given twice with different values
	seconds int64
	value   string // as last given
}

// forbidsStoring reports whether a response must not be stored. no-store beside
// must-understand addresses caches that do not know the status (RFC 9111
// §5.2.2.3). Statuses that we do not know are never stored.
func (cc *cacheControl) forbidsStoring() bool { return cc.noStore && !cc.mustUnderstand }

// parse adds one field line. Directives that refuse count wherever words can be,
// so that a mistake such as "private; max-age=60" publishes no page. Lifetimes
// count only where the grammar is kept.
func (cc *cacheControl) parse(line string) {
	for rest := line; rest != ""; {
		item, tail, closed := cutItem(rest, ',')
		if !closed {
			cc.parseBroken(rest)
			return
		}
		cc.parseItem(strings.Trim(item, " \t"))
		rest = tail
	}
}

// parseBroken reads a line that cannot be split because a quoted string does not
// end.
func (cc *cacheControl) parseBroken(rest string) {
	for word := range strings.FieldsFuncSeq(rest, isLooseEnd) {
		cc.add(word, false)
	}
}

func (cc *cacheControl) parseItem(item string) {
	name, value, _ := strings.Cut(item, "=")
	if hasLooseEnd(name) || hasLooseEnd(value) && !isQuoted(value) {
		for word := range strings.FieldsFuncSeq(item, isLooseEnd) {
			cc.add(word, false)
		}
		return
	}
	cc.add(item, true)
}

// hasLooseEnd finds a separator other than a comma; commas in an item are always
// quoted.
func hasLooseEnd(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case ' ', '\t', ';', '"':
			return true
		}
	}
	return false
}

// isQuoted reports whether s is one quoted-string and nothing else.
func isQuoted(s string) bool {
	if len(s) < 2 || s[0] != '"' {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i == len(s)-1
		}
	}
	return false
}

func isLooseEnd(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' || r == '"' }

// add adds one directive; only a well-formed one may grant anything.
func (cc *cacheControl) add(directive string, wellFormed bool) {
	name, value, _ := strings.Cut(directive, "=")
	switch {
	case equalFold(name, "no-store"):
		cc.noStore = true
	case equalFold(directive, "must-understand"):
		cc.mustUnderstand = wellFormed
	case equalFold(name, "private"):
		cc.private = true
	case equalFold(name, "no-cache"):
		cc.noCache = true
	case equalFold(directive, "public"):
		cc.forAuthorized = cc.forAuthorized || wellFormed
	case equalFold(name, "max-age"):
		cc.maxAge.addText(value, wellFormed)
	case equalFold(name, "s-maxage"):
		cc.sMaxAge.addText(value, wellFormed)
	case equalFold(name, "must-revalidate"):
		cc.mustRevalidate = true
		cc.forAuthorized = cc.forAuthorized || wellFormed && value == ""
	case equalFold(name, "proxy-revalidate"):
		cc.mustRevalidate = true
	case equalFold(name, "stale-while-revalidate"):
		cc.whileRevalidate.addText(value, wellFormed)
	case equalFold(name, "stale-if-error"):
		cc.ifError.addText(value, wellFormed)
	}
}

// allowsAuthorized reports whether the response to a request with Authorization
// may be stored for others (RFC 9111 §3.5).
func (cc *cacheControl) allowsAuthorized() bool {
	return cc.forAuthorized || cc.sMaxAge.given && !cc.sMaxAge.bad
}

func (l *lifetime) addText(value string, wellFormed bool) {
	seconds, ok := parseSeconds(value)
	l.add(value, seconds, ok && wellFormed)
}

// add adds a value. ok says whether it is valid.
func (l *lifetime) add(value string, seconds int64, ok bool) {
	seconds = min(seconds, maxSeconds)
	if !ok || seconds < 0 || l.given && l.seconds != seconds {
		l.bad = true
	}
	l.given, l.seconds, l.value = true, seconds, value
}

// maxSeconds is the value of all greater numbers (RFC 9111 §1.2.2).
const maxSeconds = 1 << 31

// parseSeconds reads delta-seconds of up to 18 digits.
func parseSeconds(s string) (n int64, ok bool) {
	n, ok = parseCount(s)
	return min(n, maxSeconds), ok
}

// parseCount reads 1*DIGIT; strconv would accept a sign.
func parseCount(s string) (n int64, ok bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// cutItem cuts the first member off a list with the separator sep (RFC 9110
// §5.6.1), but not inside quoted strings (§5.6.4). closed is false if a quoted
// string does not end.
func cutItem(s string, sep byte) (item, tail string, closed bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", !quoted
}
