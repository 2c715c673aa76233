package parity

import (
	"regexp"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// A cookieHolder is a visitor with a single cookie. The headers by which others are known
// are not in its requests, and no arguments and bodies.
type cookieHolder struct {
	k      *checker
	cookie string // its name; its value is "1"; "": there is none
}

// value returns what a variable is for the visitor, if that is known.
func (v cookieHolder) value(name string) (value string, known bool) {
	header := ""
	if v.cookie != "" {
		header = v.cookie + "=1"
	}
	if value, ok := v.k.printedValue(name, header); ok {
		return value, true
	}
	cookie, isCookie := strings.CutPrefix(name, "cookie_")
	switch {
	case name == "http_cookie":
		return header, true
	case isCookie && nginxconf.Lower(v.cookie) == cookie:
		return "1", true
	case name == "http_content_length", name == "http_transfer_encoding", isCookie, nginxconf.IsArgs(name), v.k.isWithheld(name):
		return "", true
	}
	return "", false
}

// isWithheld reports whether the requests of a cookieHolder have no value for a variable: it
// is a header that only requests have that must not be looked up, or a map of such headers.
func (k *checker) isWithheld(name string) bool {
	is, known := k.withheld[name]
	if known {
		return is
	}
	if m, ok := k.config.Map(name); ok {
		headers := nginxconf.Variables(m.Source)
		isEmpty := func(words []string) bool { return len(words) == 2 && words[0] == "" && words[1] == "" }
		is = slices.ContainsFunc(m.Lines, isEmpty) && nginxconf.HasOnlyVariables(m.Source) &&
			!slices.ContainsFunc(headers, func(header string) bool { return !k.isNotLookedUp(header) })
	} else {
		is = k.isNotLookedUp(name)
	}
	k.withheld[name] = is
	return is
}

// isNotLookedUp reports whether the variable is a header, or what nginx makes of one, that
// only requests have that must not be looked up.
func (k *checker) isNotLookedUp(name string) bool {
	if k.notLookedUp == nil {
		k.notLookedUp = map[string]bool{"remote_user": true}
		for _, header := range k.g.Visitors.NotLookedUp() {
			k.notLookedUp["http_"+strings.ReplaceAll(nginxconf.Lower(header), "-", "_")] = true
		}
	}
	return k.notLookedUp[name]
}

// printedValue evaluates the maps of the printed configuration that have regexes which Go
// cannot read, for a main request with that Cookie header. They must be as they are printed
// for the gateway's flags, word for word.
func (k *checker) printedValue(name, cookies string) (value string, ok bool) {
	evaluate, site, ok := printedVariable(name)
	if !ok || !k.isPrinted(name, site) {
		return "", false
	}
	return evaluate(k.g, cookies), true
}

// printedVariable returns what evaluates a variable, if the printed configuration of a site
// has one of that name.
func printedVariable(name string) (evaluate func(Gateway, string) string, site string, ok bool) {
	for base, evaluate := range printedVariables {
		if site, ok := strings.CutPrefix(name, base); ok && (site == "" || site[0] == '_') {
			return evaluate, strings.TrimPrefix(site, "_"), true
		}
	}
	return nil, "", false
}

// printedVariables evaluate variables of the printed configuration for a Cookie header.
var printedVariables = map[string]func(g Gateway, cookies string) string{
	"session_cookie": func(g Gateway, cookies string) string { return onlyIf(g.Visitors.NameVisitor(cookies), "1") },
	"visitor":        func(g Gateway, cookies string) string { return onlyIf(g.Visitors.Separate(cookies), "+") },
	"is_part":        func(Gateway, string) string { return "" },
	"has_body":       func(Gateway, string) string { return "" },
}

// isPrinted reports whether the map of a variable, and the maps that it is made of, are
// those of the printed configuration of a site.
func (k *checker) isPrinted(name, site string) bool {
	is, known := k.isAsPrinted[name]
	if known {
		return is
	}
	if printed, ok := k.printedMaps(site); ok {
		is = !slices.ContainsFunc(mapsOf(name, printed), func(inner string) bool {
			want, isThere := printed.Map(inner)
			got, found := k.config.Map(inner)
			return !isThere || !found || !isSameMap(want, got)
		})
	}
	k.isAsPrinted[name] = is
	return is
}

// A treatment is what nginx does with a visitor.
type treatment struct {
	asks   certainty // it looks the visitor's requests up
	shares certainty // it does so under the keys of strangers
}

// A certainty says whether something happens. Unknown are the directives on which that
// depends, and which check cannot evaluate; nil: it is certain.
type certainty struct {
	may     bool
	unknown []string
}

func (c *certainty) add(unknown []string) {
	if !c.may || len(unknown) < len(c.unknown) {
		c.may, c.unknown = true, unknown
	}
}

// is reports whether it certainly happens.
func (c certainty) is() bool { return c.may && len(c.unknown) == 0 }

// treats returns what a lookup does with visitors who have a cookie whose name fits a glob.
func (k *checker) treats(l Lookup, glob string) (t treatment) {
	cookie := strings.ReplaceAll(glob, "*", "x")
	if !k.seesCookies(l) {
		cookie = "" // like everybody
	}
	own, ok := k.runs(l, cookie)
	strangers, both := k.runs(l, "")
	if !ok || !both {
		too := []string{"too many conditions before " + l.Place.String()}
		return treatment{certainty{true, too}, certainty{true, too}}
	}
	for _, o := range own {
		t.asks.add(o.unknown)
		for _, s := range strangers {
			if o.Key == s.Key || len(o.inKey)+len(s.inKey) > 0 {
				t.shares.add(union(o.unknown, s.unknown, o.inKey, s.inKey))
			}
		}
	}
	return t
}

// seesCookies reports whether anything on the ways to the lookup, or in its key, may depend
// on cookies.
func (k *checker) seesCookies(l Lookup) bool {
	if sees, known := k.sees[l.Place]; known {
		return sees
	}
	all, ok := k.config.Runs(l.Lookup, nil)
	sees := !ok || slices.ContainsFunc(all, func(run nginxconf.Run) bool {
		return k.eval.mayKnowCookies(run.Key) || slices.ContainsFunc(run.Assumed, func(a nginxconf.Assumption) bool { return k.eval.mayKnowCookies(a.On) })
	})
	k.sees[l.Place] = sees
	return sees
}

func union(lists ...[]string) (all []string) {
	for _, s := range slices.Concat(lists...) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// An askedRun is a run that ends at the lookup, with what cannot be evaluated and may
// depend on cookies: conditions, and variables of the key.
type askedRun struct {
	nginxconf.Run
	unknown, inKey []string
}

// runs returns the ways on which requests with a cookie come to the lookup.
func (k *checker) runs(l Lookup, cookie string) (asked []askedRun, ok bool) {
	v := cookieHolder{k, cookie}
	for _, like := range k.ran[l.Lookup] {
		if like.fits(v) {
			return like.asked, like.ok
		}
	}
	own := hearing{answers: map[string]answer{}}
	all, ok := k.config.Runs(l.Lookup, func(name string) (string, bool) {
		value, known := v.value(name)
		own.answers[name] = answer{value, known}
		return value, known
	})
	for _, run := range all {
		if ok && run.IsAsked {
			own.asked = append(own.asked, k.askedRun(l, run))
		}
	}
	own.ok = ok
	k.ran[l.Lookup] = append(k.ran[l.Lookup], own)
	return own.asked, own.ok
}

// A hearing is what the ways to a lookup depend on for some visitors, and the result. It is
// the same for all visitors of whom the same is true: nearly all cookies make no difference.
type hearing struct {
	answers map[string]answer // the variables that were asked for
	asked   []askedRun
	ok      bool
}

type answer struct {
	value string
	known bool
}

// fits reports whether a visitor has the same answers.
func (h hearing) fits(v cookieHolder) bool {
	for name, told := range h.answers {
		if value, known := v.value(name); value != told.value || known != told.known {
			return false
		}
	}
	return true
}

func (k *checker) askedRun(l Lookup, run nginxconf.Run) askedRun {
	r := askedRun{Run: run}
	for _, p := range l.Programs {
		r.unknown = append(r.unknown, p.Value+" of "+p.Place.String())
	}
	for _, a := range run.Assumed {
		isValue := len(nginxconf.Variables(a.On)) == 0 // and a regex that Go cannot read
		if k.eval.mayKnowCookies(a.On) || isValue && k.eval.mayKnowCookies(a.Value) {
			r.unknown = append(r.unknown, k.unread(a.On, "`"+a.Value+"` of "+a.Place.String())...)
		}
	}
	for _, name := range nginxconf.Variables(run.Key) {
		if k.eval.mayKnowCookies("$" + name) {
			r.inKey = append(r.inKey, k.unread("$"+name, "$"+name+" of the key")...)
		}
	}
	return r
}

// unread names the maps in an expression that have regexes which Go cannot read, or else
// the expression as it is called.
func (k *checker) unread(expression, called string) (all []string) {
	for _, name := range k.eval.sourcesOf(expression) {
		m, found := k.config.Map(name)
		isUnread := func(words []string) bool { return strings.HasPrefix(words[0], "~") && !isReadable(words[0]) }
		if _, isKnown := k.printedValue(name, ""); !found || isKnown || !slices.ContainsFunc(m.Lines, isUnread) {
			continue
		}
		what := "the map of $" + name + " (" + m.Place.String() + ")"
		if _, _, ok := printedVariable(name); ok {
			what += ", which is not as `uwgate nginx` prints it for these flags"
		}
		all = append(all, what)
	}
	if len(all) == 0 {
		return []string{called}
	}
	return all
}

// isReadable reports whether Go can read the regex of a map's line.
func isReadable(line string) bool {
	_, err := regexp.Compile(strings.TrimPrefix(line[1:], "*"))
	return err == nil
}
