package parity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// someVisitors are cookies of visitors who are neither known nor certainly strangers, unless
// flags say so. A site may test some of them by name, or names of a certain look.
var someVisitors = []string{"theme", "Cart", "user-city", "seg_7", "q4Xv9"}

// strangersPages reports visitors who get the pages of strangers, since nginx looks them up
// and under the same keys. Whether a page depends on their cookies, only the operator knows.
func (k *checker) strangersPages(l Lookup) {
	if l.Key.Late != "" || !l.Never.IsZero() {
		return
	}
	cookies := k.g.Visitors.Cookies()
	var sure, doubted visitorGroup
	if !k.g.VaryCookieAnonymous {
		for _, glob := range cookies.Identity {
			k.sort(l, glob, &sure, &doubted).addMember(glob)
		}
	}
	if _, isPrinted := l.visitor(); !slices.Contains(cookies.Strangers, "*") {
		group, name := k.sortOthers(l, &sure, &doubted)
		if group != &doubted || !isPrinted { // then visitor-differs says more
			group.other = name
		}
	}
	if !sure.isEmpty() {
		k.warning(l.Place, visitorsLookedUp, k.strangersFix(l, sure),
			"visitors get the pages of strangers, since nginx looks them up under the same keys: those %s", sure)
	}
	if !doubted.isEmpty() {
		k.warning(l.Place, visitorsLookedUp, k.strangersFix(l, doubted),
			"check cannot evaluate %s, so it does not know whether nginx looks visitors up under the keys of strangers: those %s", join(firstFew(doubted.unknown)), doubted)
	}
}

// A visitorGroup is the visitors with some cookies.
type visitorGroup struct {
	members []string // globs of identity cookies
	other   string   // the cookie of one of those with any other cookie; "": they are not in it
	unknown []string // on which their treatment depends
}

func (v *visitorGroup) addMember(glob string) { v.members = append(v.members, glob) }

func (v visitorGroup) isEmpty() bool { return len(v.members) == 0 && v.other == "" }

// String says who they are.
func (v visitorGroup) String() string {
	var who []string
	if len(v.members) > 0 {
		who = append(who, "with "+join(firstFew(v.members)))
	}
	if v.other != "" {
		who = append(who, "with any other cookie that a page may depend on, such as "+v.other)
	}
	return strings.Join(who, "; and those ")
}

// sort returns the group of visitors with a cookie: those who certainly get the pages of
// strangers, or may get them. Others are in a group of nobody.
func (k *checker) sort(l Lookup, glob string, sure, doubted *visitorGroup) *visitorGroup {
	switch shares := k.treats(l, glob).shares; {
	case !shares.may:
		return new(visitorGroup)
	case shares.is():
		return sure
	default:
		doubted.unknown = union(doubted.unknown, shares.unknown)
		return doubted
	}
}

// sortOthers returns the group of those with any other cookie, and such a cookie. They are
// in the group that is worst for one of them.
func (k *checker) sortOthers(l Lookup, sure, doubted *visitorGroup) (group *visitorGroup, cookie string) {
	group = new(visitorGroup)
	for _, name := range someVisitors {
		if !k.g.Visitors.Separate(name + "=1") {
			continue // a flag makes it one of a stranger, or of a known visitor
		}
		switch own := k.sort(l, name, sure, doubted); own {
		case sure:
			return sure, name
		case doubted:
			if group != doubted {
				group, cookie = doubted, name
			}
		}
	}
	return group, cookie
}

// strangersFix has the lines that keep the visitors apart.
func (k *checker) strangersFix(l Lookup, who visitorGroup) Fix {
	var fixes []string
	if len(who.members) > 0 {
		fixes = append(fixes, k.membersLine(l))
	}
	if who.other != "" {
		fixes = append(fixes, k.visitorLine(l))
	}
	return manual(strings.Join(fixes, " ")+"   # with the maps that `uwgate nginx` prints", "only you know whether pages depend on cookies; a site without such pages is right as it is")
}

// firstFew shortens a list of names.
func firstFew(names []string) []string {
	if len(names) <= maxMissing {
		return names
	}
	return append(slices.Clone(names[:maxMissing]), fmt.Sprintf("%d others", len(names)-maxMissing))
}

// membersLine is the line that keeps members away from the lookup.
func (k *checker) membersLine(l Lookup) string {
	if l.hasHead() {
		return "srcache_fetch_skip $not_asked;"
	}
	return k.leaveLine(l, "$not_asked")
}

// leaveLine sends requests past a lookup. Of the ifs of a location the last one counts, so a
// lookup in an if needs the break.
func (k *checker) leaveLine(l Lookup, condition string) string {
	line := "if (" + condition + ") { uwsgi_pass " + k.missesTo(l) + ";"
	if !l.If.IsZero() {
		line += " break;"
	}
	return line + " }"
}

// visitorLine is the line that gives other visitors a key of their own.
func (k *checker) visitorLine(l Lookup) string {
	return "set " + cmp.Or(l.Key.Variable, "$memcached_key") + " " + nginxconf.Quote("$visitor"+l.asked()) + ";"
}
