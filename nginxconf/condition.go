package nginxconf

import (
	"regexp"
	"strings"
)

// methodCondition matches the condition of an `if` that tests the method.
var methodCondition = regexp.MustCompile(`(?i)^\(?\s*\$\{?request_method\}?\s*(!?(?:=|~\*?))\s*["']?(.*?)["']?\s*\)?$`)

// MethodMeets evaluates the condition of an `if` for a method. The result is not known if
// the condition tests anything else, or has a regex that Go cannot read.
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
