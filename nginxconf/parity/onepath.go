package parity

import (
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// pathsWithOneKey finds paths that the key does not tell apart, as with a map of $uri to a few
// values.
func (k *checker) pathsWithOneKey(l Lookup) (found bool) {
	if !l.Before.IsZero() || len(l.Rewrites) > 0 {
		return false // the path of the request is not that of the key
	}
	var seen []sample
	for _, path := range k.pathsToTry(l) {
		s := k.sample(l).at(path)
		for _, other := range seen {
			key, isOne := k.haveOneKey(l, other, s, isOfPath)
			if !isOne {
				continue
			}
			k.error(l.at(l.Key.Place), keyPartial, k.wholeFix(l),
				"the key %s is the same for %s and %s, %s: visitors of one get the page of the other", l.asked(), other["request_uri"], s["request_uri"], key)
			return true
		}
		seen = append(seen, s)
	}
	return false
}

// isOfPath reports whether the variable is made of the path of a request.
func isOfPath(name string) bool { return name == "request_uri" || isOfTarget(name) }

// pathsToTry returns paths that come to the location of the lookup; none if there is only one,
// or if none is known.
func (k *checker) pathsToTry(l Lookup) (paths []string) {
	words := strings.Fields(l.Location.Name)
	modifier, folder := "", words[len(words)-1]
	if len(words) > 1 {
		modifier = words[0]
	}
	takes := func(string) bool { return true }
	switch {
	case modifier == "=":
		return nil
	case strings.HasPrefix(modifier, "~"):
		re, err := regexp.Compile(map[string]string{"~*": "(?i)"}[modifier] + folder)
		if err != nil {
			return nil
		}
		takes, folder = re.MatchString, "/"
	case strings.HasPrefix(folder, "@"):
		folder = "/"
	}
	for _, name := range []string{"shop/page", "q4Xv9", "shop/q4Xv9.html", "z7/shop/page"} {
		paths = append(paths, folder+strings.TrimPrefix("/"+name, onlyIf(strings.HasSuffix(folder, "/"), "/")))
	}
	for _, path := range k.pathsOfMaps(l) {
		if modifier != "" && modifier != "^~" || strings.HasPrefix(path, folder) {
			paths = append(paths, path, path+"/q4Xv9", path+"q4Xv9")
		}
	}
	return slices.DeleteFunc(paths, func(path string) bool { return !takes(path) })
}

// pathsOfMaps returns paths that the regexes of the maps in the key match.
func (k *checker) pathsOfMaps(l Lookup) (paths []string) {
	for _, name := range k.eval.sourcesOf(l.asked()) {
		m, _ := k.config.Map(name)
		for _, words := range m.Lines {
			re, isRegex := strings.CutPrefix(words[0], "~")
			if !isRegex || len(paths) >= maxSamples || len(words) != 2 {
				continue
			}
			parsed, err := syntax.Parse(strings.TrimPrefix(re, "*"), syntax.Perl)
			if err != nil {
				continue
			}
			if path := matched(parsed); strings.HasPrefix(path, "/") && !strings.ContainsAny(path, "? #%") {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// matched returns a short text that a regex matches, if it is one of the usual ones.
func matched(re *syntax.Regexp) (text string) {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpCharClass:
		for _, c := range "x7X-/" {
			for i := 0; i < len(re.Rune); i += 2 {
				if re.Rune[i] <= c && c <= re.Rune[i+1] {
					return string(c)
				}
			}
		}
		return "?"
	case syntax.OpPlus, syntax.OpCapture, syntax.OpAlternate:
		return matched(re.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(matched(re.Sub[0]), re.Min)
	case syntax.OpConcat:
		for _, part := range re.Sub {
			text += matched(part)
		}
	}
	return text
}

// at returns the request with another path.
func (s sample) at(path string) sample {
	other := maps.Clone(s)
	other["uri"], other["request_uri"] = path, path+s["is_args"]+s["args"]
	return other
}
