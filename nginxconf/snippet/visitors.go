package snippet

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

// cookieEnds is what ends a cookie for one reader or another, for the brackets of a regex:
// white space, control bytes, quotes, commas, and all bytes that policy does not accept in
// a cookie.
const cookieEnds = `\x00-\x20",;\[\\\]\x7f-\xff`

// word is a byte of a cookie's name. A star must not reach beyond the next separator:
// nginx tries the regex after each of them, and a Cookie header of commas would keep it
// busy for seconds.
const word = `[^=` + cookieEnds + `]`

// addVisitors makes regexes that read cookies as the gateway does: names are compared
// without case, and a name begins after any byte that ends another cookie for some reader.
func (s *Site) addVisitors(v *values, q *quoter) {
	cookies := s.Visitors.Cookies()
	exempt := ""
	if len(cookies.Exempt) > 0 {
		exempt = "(?!(?:" + patterns(cookies.Exempt, "") + ")(?:[=" + cookieEnds + "]|$))"
	}
	for globs := cookies.Identity; len(globs) > 0; {
		n := min(len(globs), maxNames)
		v.Identity = append(v.Identity, q.quoteRows("an identity cookie",
			"~*(?x)(?(DEFINE)("+word+"))(?:^|["+cookieEnds+"])"+cookiePrefix()+exempt+"(?:", rows(globs[:n], "(?1)"), ")(?:[="+cookieEnds+"]|$)"))
		globs = globs[n:]
	}
	v.Strangers = s.strangers(q, cookies.Strangers)
	v.Plain = s.plain(q, cookies, exempt)
	for headers := s.headerVariables(); len(headers) > 0; {
		n := min(len(headers), maxHeaders)
		line := strings.Join(headers[:n], "")
		v.Named = append(v.Named, namedHeaders{"$named_" + strconv.Itoa(len(v.Named)+1) + v.As, line})
		headers = headers[n:]
	}
}

// headerVariables returns the variables of the headers whose senders are not looked up.
func (s *Site) headerVariables() (names []string) {
	spell := func(header string) string { return "$http_" + strings.ReplaceAll(strings.ToLower(header), "-", "_") }
	inKey := nginxconf.Variables(s.key())
	for _, header := range s.Visitors.NotLookedUp() {
		name := spell(header)
		isTrusted := slices.ContainsFunc(s.Trusted, func(trusted string) bool { return spell(trusted) == name })
		if !isTrusted && !slices.Contains(inKey, name[1:]) {
			names = append(names, name)
		}
	}
	return names
}

// strangers returns the regex of a Cookie header that has only cookies of strangers.
// Between semicolons stands one cookie. After its value there may be words that some
// reader takes for cookies. policy's cookie.go does the same for the gateway.
func (s *Site) strangers(q *quoter, globs []string) string {
	const (
		blank = `[\x00-\x20]*+`
		value = `[^` + cookieEnds + `]*+`
		gap   = `[\x00-\x20",\[\\\]\x7f-\xff]++`
	)
	// (?1) is a byte of a name, and (?2) a name.
	return q.quoteRows("a harmless cookie",
		`~*(?x)(?(DEFINE)(`+word+`))^(?:`+blank+`(?:(`+cookiePrefix()+`(?:`, rows(globs, "(?1)"),
		`)(?!(?1)))`+blank+`(?:=`+value+`(?:`+gap+`(?:(?2)=`+value+`|(?1)*+(?!=)))*+)?)?(?:;|$))*+$`)
}

// plain returns the regex of "1;", for harmless cookies, and a Cookie header in which no
// reader finds another cookie than the browser has sent, and none that names a visitor. Of
// harmless cookies, only those that fit globs of both classes can do so. It is empty if
// there are too many such globs.
func (s *Site) plain(q *quoter, cookies policy.CookieGlobs, exempt string) string {
	strangers, behindPrefixes := cookies.Strangers, prefixed(cookies.Strangers)
	doubtful := slices.DeleteFunc(slices.Clone(cookies.Identity), func(glob string) bool {
		own := prefixed([]string{glob})
		return !slices.ContainsFunc(strangers, func(other string) bool {
			return overlap(glob, other) || slices.ContainsFunc(own, func(glob string) bool { return overlap(glob, other) })
		}) && !slices.ContainsFunc(behindPrefixes, func(other string) bool { return overlap(glob, other) })
	})
	const head, tail = "~*(?x)^1;(?:", word + `++(?:=[^` + cookieEnds + `]*+)?(?:;\x20?|$))++$`
	switch {
	case len(doubtful) == 0:
		return q.quotePattern("a harmless cookie", head+tail)
	case len(doubtful) > maxDoubtful:
		return ""
	}
	return q.quoteRows("a harmless cookie", head+"(?!"+cookiePrefix()+exempt+"(?:", rows(doubtful, word), ")(?:[=;]|$))"+tail)
}

// maxDoubtful is the number of names in the regex of plain.
const maxDoubtful = 40

// prefixed returns the globs behind each of policy.CookiePrefixes.
func prefixed(globs []string) (all []string) {
	for _, prefix := range policy.CookiePrefixes {
		for _, glob := range globs {
			all = append(all, prefix+glob)
		}
	}
	return all
}

// overlap reports whether one name fits both globs. Nearly all pairs differ in their first
// letter.
func overlap(a, b string) bool {
	for a != "" && b != "" && a[0] != '*' && b[0] != '*' {
		if !strings.EqualFold(a[:1], b[:1]) {
			return false
		}
		a, b = a[1:], b[1:]
	}
	if a == b {
		return true
	}
	if !strings.Contains(a, "*") && !strings.Contains(b, "*") {
		return false
	}
	return overlapTails(a, b, map[[2]int]bool{})
}

// overlapTails compares what follows the first star. Tried are the pairs of tails that were
// compared, by their lengths.
func overlapTails(a, b string, tried map[[2]int]bool) bool {
	at := [2]int{len(a), len(b)}
	if tried[at] {
		return false
	}
	tried[at] = true
	switch {
	case strings.HasPrefix(a, "*"):
		return overlapTails(a[1:], b, tried) || b != "" && overlapTails(a, b[1:], tried)
	case strings.HasPrefix(b, "*"):
		return overlapTails(a, b[1:], tried) || a != "" && overlapTails(a[1:], b, tried)
	case a == "" || b == "":
		return a == b
	}
	return strings.EqualFold(a[:1], b[:1]) && overlapTails(a[1:], b[1:], tried)
}

// maxHeaders is the number of headers in one map.
const maxHeaders = 40

// maxNames is the number of cookie names in one regex. nginx accepts arguments of up to
// 4095 bytes.
const maxNames = 120

// cookiePrefix matches one of policy.CookiePrefixes, or nothing.
func cookiePrefix() string { return "(?:" + patterns(policy.CookiePrefixes, "") + ")?" }

// rows returns an alternative of cookie names in readable lines, for a regex with (?x). A
// star stands for any number of the characters any. Names that begin alike are together, so
// that PCRE need not try hundreds of names at each cookie, nor go through its letters for
// each star.
func rows(globs []string, any string) (lines []string) {
	const width = 80
	line := ""
	for _, piece := range pieces(globs, any) {
		if line != "" && len(line)+len(piece) > width {
			lines, line = append(lines, line), ""
		}
		line += piece
	}
	return append(lines, line)
}

// pieces returns an alternative of globs in pieces between which a line may end.
func pieces(globs []string, any string) (all []string) {
	groups := map[string][]string{} // by their first character
	for _, glob := range globs {
		first := strings.ToLower(glob[:1])
		if isAny(glob) {
			first = "" // a group of its own
		}
		groups[first] = append(groups[first], glob)
	}
	for _, first := range slices.Sorted(maps.Keys(groups)) {
		all = append(all, group(first, groups[first], any)...)
	}
	all[len(all)-1] = strings.TrimSuffix(all[len(all)-1], "|")
	return all
}

// group returns the pieces of the globs that begin with first, each with its bar.
func group(first string, globs []string, any string) (all []string) {
	before, after := "", "|"
	if len(globs) > 1 {
		before, after = "(?="+regexp.QuoteMeta(first)+")(?:", ")|"
	}
	for i, glob := range globs {
		p, end := patterns([]string{glob}, any), "|"
		if first == "*" && len(globs) > 1 {
			before, p = strings.Replace(before, "(?=\\*)", any+"*", 1), pattern(glob[1:], any)
		}
		if i == len(globs)-1 {
			end = after
		}
		all = append(all, strings.ReplaceAll(before+p+end, "#", `\#`))
		before = ""
	}
	return all
}

// patterns returns an alternative of globs. A star stands for any number of the characters
// any; a glob that is only a star needs at least one.
func patterns(globs []string, any string) string {
	var out []string
	for _, glob := range globs {
		if isAny(glob) {
			out = append(out, any+"+")
			continue
		}
		out = append(out, pattern(glob, any))
	}
	return strings.Join(out, "|")
}

func isAny(glob string) bool { return strings.Trim(glob, "*") == "" }

// pattern returns the regex of a part of a glob.
func pattern(part, any string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(part), `\*`, any+"*")
}
