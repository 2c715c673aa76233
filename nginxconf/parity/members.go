package parity

import (
	"strings"

	"uwgate/nginxconf"
)

// A cookieHolder is a visitor with a single cookie, for whom conditions are evaluated.
type cookieHolder struct {
	*evaluator
	cookie string // its name; its value is "1"
}

// holder returns the visitor with a cookie whose name fits a glob.
func (e *evaluator) holder(glob string) cookieHolder {
	return cookieHolder{e, strings.ReplaceAll(glob, "*", "x")}
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
		matches, known := v.matchesRegex(kind+operand, value)
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
	line, known := v.choose(m.Lines, source)
	if !known {
		return "", false
	}
	return v.value(line, depth+1)
}
