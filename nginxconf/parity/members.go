package parity

import (
	"regexp"
	"strings"

	"uwgate/nginxconf"
)

// A cookieHolder is a visitor with a single cookie, for whom conditions are evaluated.
type cookieHolder struct {
	config *nginxconf.Config
	cookie string // its name; its value is "1"
}

// meets evaluates the condition of an `if` or the expression of srcache_fetch_skip. It is
// not known if it depends on anything but cookies and the method.
func (v cookieHolder) meets(condition string) (met, known bool) {
	if met, known = nginxconf.MethodMeets("GET", condition); known {
		return met, true
	}
	words := strings.Fields(strings.Trim(condition, "() "))
	if len(words) == 0 {
		return false, true
	}
	value, known := v.value(words[0], 0)
	if !known {
		return false, false
	}
	if len(words) == 1 {
		return value != "" && value != "0", true
	}
	operator, operand := words[1], strings.Trim(strings.Join(words[2:], " "), `"'`)
	switch kind, negated := strings.CutPrefix(operator, "!"); kind {
	case "=":
		other, known := v.value(operand, 0)
		return (value == other) != negated, known
	case "~", "~*":
		matches, known := matchesRegex(kind+operand, value)
		return matches != negated, known
	}
	return false, false
}

// maxMaps is how deep maps may be made of maps.
const maxMaps = 10

// value evaluates an expression.
func (v cookieHolder) value(expression string, depth int) (value string, known bool) {
	var all strings.Builder
	for _, p := range nginxconf.ParseExpression(nginxconf.Canonical(expression)) {
		if !p.IsVariable {
			all.WriteString(p.Text)
			continue
		}
		value, known := v.variable(p.Text, depth)
		if !known {
			return "", false
		}
		all.WriteString(value)
	}
	return all.String(), true
}

func (v cookieHolder) variable(name string, depth int) (value string, known bool) {
	if name == "http_cookie" {
		return v.cookie + "=1", true
	}
	if cookie, ok := strings.CutPrefix(name, "cookie_"); ok {
		if nginxconf.Lower(v.cookie) == cookie {
			return "1", true
		}
		return "", true
	}
	if name == "request_method" {
		return "GET", true
	}
	m, ok := v.config.Map(name)
	if !ok || depth > maxMaps {
		return "", false
	}
	source, known := v.value(m.Source, depth+1)
	if !known {
		return "", false
	}
	line, known := choose(m.Lines, source)
	if !known {
		return "", false
	}
	return v.value(line, depth+1)
}

// choose returns what a map makes of a value (ngx_http_map_find): exact texts come before
// regexes.
func choose(lines [][]string, value string) (result string, known bool) {
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
		matches, known := matchesRegex(words[0], value)
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
func matchesRegex(pattern, value string) (matches, known bool) {
	pattern = strings.TrimPrefix(pattern, "~")
	if insensitive, ok := strings.CutPrefix(pattern, "*"); ok {
		pattern = "(?i)" + insensitive
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return false, false
	}
	return re.MatchString(value), true
}
