package parity

import (
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"

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
	regexes := map[nginxconf.Place][]nginxconf.Variable{} // the captures of each that are in the key
	for _, v := range l.opaque() {
		if v.Kind != "capture" {
			return // it may be made of the whole URL
		}
		regexes[v.Place] = append(regexes[v.Place], v)
	}
	for _, captures := range regexes {
		if saysAll(l.asked(), captures) {
			return
		}
	}
	v := l.opaque()[0]
	k.error(l.at(l.Key.Place), keyPartial, k.wholeFix(l),
		"the key %s has of the path only what the regex of %v captures, or does not show where a capture ends: URLs that differ in the rest have one key, and visitors of one get the page of the other",
		l.asked(), v.Place)
}

// isOfTarget reports whether a variable has the whole path.
func isOfTarget(name string) bool {
	return name == "request" || name == "request_filename" || isPath(nginxconf.Piece{Text: name, IsVariable: true})
}

// saysAll reports whether captures of one regex say everything about the paths that it
// matches, in the key: what is not captured is the same in all.
func saysAll(key string, captures []nginxconf.Variable) bool {
	parts, ok := partsOf(captures[0].Value)
	if !ok {
		return false
	}
	for _, part := range parts {
		isPart := func(v nginxconf.Variable) bool { return part.isCalled(strings.TrimPrefix(v.Name, "$")) }
		if part.capture != nil && !slices.ContainsFunc(captures, isPart) {
			return false
		}
	}
	return keepsApart(key, parts)
}

// A pathPart is a part of a regex: a text, or a capture.
type pathPart struct {
	text    string
	capture *syntax.Regexp
}

// isCalled reports whether the part is the capture with a name or number.
func (p pathPart) isCalled(name string) bool {
	return p.capture != nil && (name == strconv.Itoa(p.capture.Cap) || p.capture.Name != "" && strings.EqualFold(name, p.capture.Name))
}

// partsOf returns the parts of a regex, as nginxconf describes it, if it matches whole paths and
// has nothing else.
func partsOf(regex string) (parts []pathPart, ok bool) {
	if inner, isCondition := strings.CutPrefix(regex, "("); isCondition { // of an `if`
		regex = strings.TrimSuffix(inner, ")")
	}
	before, _, found := strings.Cut(regex, "^")
	if !found {
		return nil, false
	}
	re, err := syntax.Parse(regex[len(before):], syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat {
		return nil, false
	}
	first, last := re.Sub[0], re.Sub[len(re.Sub)-1]
	if first.Op != syntax.OpBeginText && first.Op != syntax.OpBeginLine || last.Op != syntax.OpEndText && last.Op != syntax.OpEndLine {
		return nil, false
	}
	for _, sub := range re.Sub[1 : len(re.Sub)-1] {
		if sub.Op == syntax.OpQuest { // it captures nothing, or all of that
			sub = sub.Sub[0]
		}
		text := string(sub.Rune)
		isSame := sub.Flags&syntax.FoldCase == 0 && (!strings.HasSuffix(before, "~* ") || strings.ToUpper(text) == strings.ToLower(text))
		switch {
		case sub.Op == syntax.OpLiteral && isSame:
			parts = append(parts, pathPart{text: text})
		case sub.Op == syntax.OpCapture:
			parts = append(parts, pathPart{capture: sub})
		default:
			return nil, false
		}
	}
	return parts, true
}

// keepsApart reports whether a key shows where one capture ends and the next one begins: what is
// between them is the same as in the path, or begins with what the first one cannot contain.
func keepsApart(key string, parts []pathPart) bool {
	last, between := -1, ""
	for _, p := range nginxconf.ParseExpression(key) {
		i := -1
		if p.IsVariable {
			i = slices.IndexFunc(parts, func(part pathPart) bool { return part.isCalled(p.Text) })
		}
		switch {
		case i < 0 && !p.IsVariable:
			between += p.Text
		case i >= 0:
			isLike := last >= 0 && last < i && textOf(parts[last+1:i]) == between && !slices.ContainsFunc(parts[last+1:i], func(part pathPart) bool { return part.capture != nil })
			if last >= 0 && !isLike && (between == "" || mayContain(parts[last].capture, rune(between[0]))) {
				return false
			}
			last, between = i, ""
		}
	}
	return true
}

func textOf(parts []pathPart) (text string) {
	for _, part := range parts {
		text += part.text
	}
	return text
}

// mayContain reports whether a text that a regex matches may have a character.
func mayContain(re *syntax.Regexp, c rune) bool {
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpLiteral:
		return strings.ContainsRune(strings.ToLower(string(re.Rune)), unicode.ToLower(c))
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			if re.Rune[i] <= c && c <= re.Rune[i+1] {
				return true
			}
		}
	}
	return slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return mayContain(sub, c) })
}
