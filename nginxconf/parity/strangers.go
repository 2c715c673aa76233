package parity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// someVisitor is the cookie of a visitor who is neither known nor certainly a stranger.
const someVisitor = "theme"

// strangersPages reports visitors who get the pages of strangers, since nginx looks them up
// and under the same keys. Whether a page depends on their cookies, only the operator knows.
func (k *checker) strangersPages(l Lookup) {
	if l.Key.Late != "" || len(l.Programs) > 0 {
		return
	}
	var who, fixes []string
	cookies := k.g.Visitors.Cookies()
	members := slices.DeleteFunc(slices.Clone(cookies.Identity), func(glob string) bool { return k.isApart(l, glob) })
	if len(members) > 0 && !k.g.VaryCookieAnonymous {
		who = append(who, "with "+join(firstFew(members)))
		fixes = append(fixes, k.membersLine(l))
	}
	_, isPrinted := l.visitor()
	if !isPrinted && !slices.Contains(cookies.Strangers, "*") && !k.isApart(l, someVisitor) {
		who = append(who, "with any other cookie that a page may depend on, such as "+someVisitor)
		fixes = append(fixes, k.visitorLine(l))
	}
	if len(who) == 0 {
		return
	}
	fix := manual(strings.Join(fixes, " ")+"   # with the maps that `uwgate nginx` prints", "only you know whether pages depend on cookies; a site without such pages is right as it is")
	k.warning(l.Place, visitorsLookedUp, fix,
		"visitors get the pages of strangers, since nginx looks them up under the same keys: those %s", strings.Join(who, "; and those "))
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
	return "if ($not_asked) { uwsgi_pass " + k.missesTo(l) + "; }"
}

// visitorLine is the line that gives other visitors a key of their own.
func (k *checker) visitorLine(l Lookup) string {
	return "set " + cmp.Or(l.Key.Variable, "$memcached_key") + " " + nginxconf.Quote("$visitor"+l.asked()) + ";"
}

// isApart reports whether visitors with a cookie are not looked up, or have another key than
// strangers. What cannot be evaluated, and may depend on cookies, is trusted.
func (k *checker) isApart(l Lookup, glob string) bool {
	v := k.eval.holder(glob)
	if met, known := v.meets(l.If.Value); !l.If.IsZero() && (known && !met || !known && k.eval.mayKnowCookies(l.If.Value)) {
		return true
	}
	conditions := []string{l.Skip.Value}
	for _, block := range []nginxconf.Place{l.Location.Place, l.Server.Place} {
		for _, d := range k.config.In(block, "if") {
			conditions = append(conditions, d.Value)
		}
	}
	for _, condition := range conditions {
		met, known := v.meets(condition)
		if met && known || !known && k.eval.mayKnowCookies(condition) {
			return true
		}
	}
	return slices.ContainsFunc(nginxconf.Variables(l.asked()), func(name string) bool { return k.tellsApart(l, v, name) })
}

// tellsApart reports whether a variable of the key has another value for the visitor than
// for one without cookies.
func (k *checker) tellsApart(l Lookup, v cookieHolder, name string) bool {
	if l.printed(name) != "" || !k.eval.mayKnowCookies("$"+name) {
		return false
	}
	own, known := v.value("$"+name, 0)
	stranger, both := k.eval.holder("").value("$"+name, 0)
	return !known || !both || own != stranger
}
