package parity

import (
	"regexp"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// An evaluator evaluates expressions as far as the configuration decides them. It remembers
// its results: the same few expressions are asked for by each check of each lookup. It is
// not safe for concurrent use.
type evaluator struct {
	config  *nginxconf.Config
	sources map[string][]string       // of expressions
	regexes map[string]*regexp.Regexp // by their patterns in nginx; nil: Go cannot read it
}

func newEvaluator(c *nginxconf.Config) *evaluator {
	return &evaluator{c, map[string][]string{}, map[string]*regexp.Regexp{}}
}

// sourcesOf returns the variables of which an expression is made, directly or through maps.
func (e *evaluator) sourcesOf(expression string) []string {
	all, known := e.sources[expression]
	if known {
		return all
	}
	all = nginxconf.Variables(expression)
	for i := 0; i < len(all); i++ {
		m, _ := e.config.Map(all[i])
		for _, name := range nginxconf.Variables(m.Source) {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	e.sources[expression] = all
	return all
}

// isMadeOf reports whether an expression has a variable that begins so, directly or through
// maps.
func (e *evaluator) isMadeOf(expression, prefix string) bool {
	return slices.ContainsFunc(e.sourcesOf(expression), func(name string) bool { return strings.HasPrefix(name, prefix) })
}

// mayKnowCookies reports whether an expression may depend on cookies: it is made of them, or
// of a variable that `set` or a module makes.
func (e *evaluator) mayKnowCookies(expression string) bool {
	if e.isMadeOf(expression, "cookie_") || e.isMadeOf(expression, "http_cookie") {
		return true
	}
	return slices.ContainsFunc(nginxconf.Variables(expression), func(name string) bool {
		_, isMap := e.config.Map(name)
		return !isMap && !nginxconf.IsOwn(name)
	})
}

// choose returns what a map makes of a value (ngx_http_map_find): exact texts come before
// regexes.
func (e *evaluator) choose(lines [][]string, value string) (result string, known bool) {
	for _, words := range lines {
		switch {
		case len(words) == 1 && words[0] == "volatile":
		case len(words) != 2, words[0] == "include":
			return "", false
		case words[0] == "default":
			result = words[1]
		}
	}
	for _, words := range lines {
		text := strings.TrimPrefix(words[0], `\`)
		if len(words) == 2 && words[0] != "default" && !strings.HasPrefix(words[0], "~") && strings.EqualFold(text, value) {
			return words[1], true
		}
	}
	for _, words := range lines {
		if len(words) != 2 || !strings.HasPrefix(words[0], "~") {
			continue
		}
		matches, known := e.matchesRegex(words[0], value)
		if !known {
			return "", false
		}
		if matches {
			return words[1], true
		}
	}
	return result, true
}

// matchesRegex matches a regex that begins with ~ or ~*. Go cannot read all of them.
func (e *evaluator) matchesRegex(pattern, value string) (matches, known bool) {
	re, known := e.regexes[pattern]
	if !known {
		re = compiled(pattern)
		e.regexes[pattern] = re
	}
	return re != nil && re.MatchString(value), re != nil
}

func compiled(pattern string) *regexp.Regexp {
	pattern = strings.TrimPrefix(pattern, "~")
	if insensitive, ok := strings.CutPrefix(pattern, "*"); ok {
		pattern = "(?i)" + insensitive
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil
	}
	return re
}
