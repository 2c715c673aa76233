package parity

import (
	"regexp/syntax"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// captures finds keys that have of the path only what a regex has captured: URLs that differ
// in the rest have one key.
func (k *checker) captures(l Lookup) {
	if l.Misses == nil || l.Key.Late != "" || l.Key.Varies != "" || len(l.opaque()) == 0 {
		return
	}
	if slices.ContainsFunc(nginxconf.Variables(l.asked()), isOfTarget) {
		return
	}
	regexes := map[string]int{} // how many captures of each are in the key
	for _, v := range l.opaque() {
		if v.Kind != "capture" {
			return // it may be made of the whole URL
		}
		regexes[v.Value]++
	}
	for regex, captures := range regexes {
		if saysAll(regex, captures) {
			return
		}
	}
	v := l.opaque()[0]
	k.error(l.at(l.Key.Place), keyPartial, k.wholeFix(l),
		"the key %s has of the path only what the regex of %v captures: URLs that differ in the rest have one key, and visitors of one get the page of the other",
		l.asked(), v.Place)
}

// isOfTarget reports whether a variable has the whole path.
func isOfTarget(name string) bool {
	return name == "request" || name == "request_filename" || isPath(nginxconf.Piece{Text: name, IsVariable: true})
}

// saysAll reports whether so many captures of a regex, as nginxconf describes it, say
// everything about the paths that it matches: what is not captured is the same in all.
func saysAll(regex string, captures int) bool {
	if inner, ok := strings.CutPrefix(regex, "("); ok { // the condition of an `if`
		regex = strings.TrimSuffix(inner, ")")
	}
	at := strings.IndexByte(regex, '^')
	if at < 0 {
		return false
	}
	re, err := syntax.Parse(regex[at:], syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat {
		return false
	}
	first, last := re.Sub[0], re.Sub[len(re.Sub)-1]
	isWhole := (first.Op == syntax.OpBeginText || first.Op == syntax.OpBeginLine) && (last.Op == syntax.OpEndText || last.Op == syntax.OpEndLine)
	for _, sub := range re.Sub[1 : len(re.Sub)-1] {
		switch sub.Op {
		case syntax.OpLiteral:
		case syntax.OpCapture:
			captures--
		default:
			return false
		}
	}
	return isWhole && captures == 0
}
