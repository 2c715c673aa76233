package parity

import (
	"maps"
	"regexp/syntax"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// apart finds two values of a param under one key although both are made of the same header,
// as by two maps of it: it sends sample requests with values of the header that maps and
// conditions tell apart.
func (k *checker) apart(l Lookup, param nginxconf.Param) (one, other string, differ bool) {
	for _, header := range k.eval.sourcesIn(l.Server, param.Value) {
		if isOfVisitor(header) {
			if one, other, differ = differingRequests(k.requests(l, param, header)); differ {
				return one, other, true
			}
		}
	}
	return "", "", false
}

// A toldRequest is what the application gets of a sample request.
type toldRequest struct {
	telling
	assumed []nginxconf.Assumption
}

// requests returns sample requests that differ only in a header. It leaves out those of which
// something is not known that depends on the header.
func (k *checker) requests(l Lookup, param nginxconf.Param, header string) (all []toldRequest) {
	depends := func(expression string) bool { return slices.Contains(k.eval.sourcesIn(l.Server, expression), header) }
	for _, value := range k.valuesToTry(l, param, header) {
		s := maps.Clone(k.sample(l))
		s[header] = value
		ways, _ := k.config.Misses(l.Lookup, func(name string) (string, bool) {
			if value, known := s.value(name); known {
				return value, true
			}
			return k.printedValue(name, s["http_cookie"])
		})
		for _, way := range ways {
			t := telling{value: way.Value(param.Value), key: way.Key}
			isOpen := func(a nginxconf.Assumption) bool {
				return len(nginxconf.Variables(a.On)) == 0 || depends(a.On)
			}
			if depends(t.key) || depends(t.value) || slices.ContainsFunc(way.Assumed, isOpen) {
				continue
			}
			t.reason, t.isUnknown = k.judge(l, param, k.samples(t.key, s)[0], t.value)
			all = append(all, toldRequest{t, way.Assumed})
		}
	}
	return all
}

// differingRequests returns what differs in two requests with one key. The page of one of them
// is stored.
func differingRequests(all []toldRequest) (one, other string, differ bool) {
	for _, t := range all {
		for _, u := range all {
			if _, _, differ := differing([]telling{t.telling, u.telling}); differ && !contradict(t.assumed, u.assumed) {
				return t.value, u.value, true
			}
		}
	}
	return "", "", false
}

// maxTries is the number of values of a header that are tried.
const maxTries = 64

// valuesToTry returns values of a header: those that maps and conditions of the site test.
func (k *checker) valuesToTry(l Lookup, param nginxconf.Param, header string) []string {
	all := []string{"", unknownValue}
	for _, name := range k.eval.sourcesIn(l.Server, param.Value+l.asked()) {
		m, found := k.config.Map(name)
		if !found || nginxconf.Canonical(m.Source) != "$"+header {
			continue
		}
		for _, words := range m.Lines {
			if value, ok := valueFor(words[0]); ok && len(words) == 2 {
				all = append(all, value)
			}
		}
	}
	ways, _ := k.config.Misses(l.Lookup, k.sample(l).value)
	for _, way := range ways {
		for _, a := range way.Assumed {
			words := strings.SplitN(a.Value, " ", 3)
			if len(words) < 3 || a.On != "$"+header {
				continue
			}
			operator := strings.TrimPrefix(words[1], "!")
			if value, ok := valueFor(strings.TrimPrefix(operator, "=") + words[2]); ok {
				all = append(all, value)
			}
		}
	}
	return all[:min(len(all), maxTries)]
}

// valueFor returns a value that fits the first word of a map's line.
func valueFor(word string) (value string, ok bool) {
	regex, isRegex := strings.CutPrefix(word, "~")
	switch {
	case word == "default":
		return "", false
	case !isRegex:
		return strings.TrimPrefix(word, `\`), true
	}
	re, err := syntax.Parse(strings.TrimPrefix(regex, "*"), syntax.Perl)
	if err != nil {
		return "", false
	}
	return textFor(re), true
}

// textFor returns a short text that a regex matches, if it asserts nothing.
func textFor(re *syntax.Regexp) (text string) {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		if len(re.Rune) > 0 {
			return string(re.Rune[:1])
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return unknownValue
	case syntax.OpAlternate, syntax.OpCapture, syntax.OpPlus:
		return textFor(re.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(textFor(re.Sub[0]), re.Min)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			text += textFor(sub)
		}
	}
	return text
}
