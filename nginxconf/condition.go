package nginxconf

import (
	"regexp"
	"strings"
)

var methodCondition = regexp.MustCompile(`(?i)^\(?\s*\$\{?request_method\}?\s*(!?(?:=|~\*?))\s*["']?(.*?)["']?\s*\)?$`)

// MethodMeets evaluates a condition on the method.
func MethodMeets(method, condition string) (met, known bool) {
	m := methodCondition.FindStringSubmatch(condition)
	if m == nil {
		return false, false
	}
	operator, negated := strings.CutPrefix(m[1], "!")
	if operator == "=" {
		return (m[2] == method) != negated, true
	}
	flags := ""
	if operator == "~*" {
		flags = "(?i)"
	}
	re, err := regexp.Compile(flags + m[2])
	if err != nil {
		return false, false
	}
	return re.MatchString(method) != negated, true
}
