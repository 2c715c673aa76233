package snippet

import (
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

// maxHeaders is the number of headers in one map.
const maxHeaders = 40

// maxNames is the number of cookie names in one regex. nginx accepts arguments of up to
// 4095 bytes.
const maxNames = 120

// cookiePrefix matches one of policy.CookiePrefixes, or nothing.
func cookiePrefix() string { return "(?:" + patterns(policy.CookiePrefixes, "") + ")?" }

// rows returns patterns of cookie names in readable lines, for a regex with (?x). A star
// stands for any number of the characters any.
func rows(globs []string, any string) (lines []string) {
	const width = 80
	line := ""
	for i, glob := range globs {
		p := strings.ReplaceAll(patterns([]string{glob}, any), "#", `\#`)
		if i < len(globs)-1 {
			p += "|"
		}
		if line != "" && len(line)+len(p) > width {
			lines, line = append(lines, line), ""
		}
		line += p
	}
	return append(lines, line)
}

// patterns returns an alternative of globs. A star stands for any number of the characters
// any; a glob that is only a star needs at least one.
func patterns(globs []string, any string) string {
	var out []string
	for _, glob := range globs {
		if strings.Trim(glob, "*") == "" {
			out = append(out, any+"+")
			continue
		}
		out = append(out, strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, any+"*"))
	}
	return strings.Join(out, "|")
}
