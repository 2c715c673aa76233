package nginxconf

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A condition is that of an `if`, with values in the place of variables.
type condition struct {
	subject  string // the expression that is tested, or all words
	isKnown  bool   // subject is a value
	operator string // "=", "~", "~*" or "": neither empty nor 0
	operand  string
	negated  bool
	isFile   bool           // tests files, or makes no sense
	regex    *regexp.Regexp // of ~ and ~*; nil: Go cannot read it
}

// A fact is a condition that a request is known to meet, or not to meet.
type fact struct {
	condition
	met bool
}

type facts []fact

// condition reads the words of an `if` (ngx_http_rewrite_if_condition).
func (r *runner) condition(w running, args []string) condition {
	words := trimBrackets(args)
	if len(words) == 0 || !strings.HasPrefix(words[0], "$") {
		text := r.expand(w, ParseExpression(strings.Join(words, " ")), maxMaps).String()
		return condition{subject: text, isFile: true}
	}
	c := r.test(w, words[0])
	if len(words) == 1 {
		return c
	}
	operator, negated := strings.CutPrefix(words[1], "!")
	c.operator, c.negated, c.operand = operator, negated, strings.Join(words[2:], " ")
	switch operator {
	case "=":
		operand := r.expand(w, ParseExpression(c.operand), maxMaps)
		if _, isKnown := operand.constant(); !isKnown {
			c.isKnown = false
		}
		c.operand = operand.String()
	case "~":
		c.regex = r.defs.regex(c.operand)
	case "~*":
		c.regex = r.defs.regex("(?i)" + c.operand)
	default:
		c.isFile = true
	}
	return c
}

// test makes the condition that an expression is neither empty nor 0.
func (r *runner) test(w running, expression string) condition {
	value := r.expand(w, ParseExpression(expression), maxMaps)
	text, isKnown := value.constant()
	if !isKnown {
		text = Canonical(value.String())
	}
	return condition{subject: text, isKnown: isKnown}
}

// trimBrackets takes the brackets off the words of an `if`. They may be words of their own.
func trimBrackets(args []string) []string {
	words := slices.Clone(args)
	if len(words) == 0 {
		return nil
	}
	words[0] = strings.TrimPrefix(words[0], "(")
	if words[0] == "" {
		words = words[1:]
	}
	if last := len(words) - 1; last >= 0 {
		words[last] = strings.TrimSuffix(words[last], ")")
		if words[last] == "" && args[len(args)-1] == ")" {
			words = words[:last]
		}
	}
	return words
}

// evaluate reports whether a request of which the facts are known meets the condition.
func (c condition) evaluate(known facts) (met, isKnown bool) {
	if c.isFile {
		return known.same(c)
	}
	if c.isKnown {
		met, isKnown = c.matches(c.subject)
		return met != c.negated, isKnown
	}
	if met, isKnown = known.same(c); isKnown {
		return met, true
	}
	values, ok := known.values(c.subject)
	if !ok {
		return known.excludes(c)
	}
	for i, value := range values {
		one, isClear := c.matches(value)
		if !isClear || i > 0 && one != met {
			return false, false
		}
		met = one
	}
	return met != c.negated, len(values) > 0
}

// matches evaluates the condition for a value, without its negation.
func (c condition) matches(value string) (met, isKnown bool) {
	switch c.operator {
	case "":
		return value != "" && value != "0", true
	case "=":
		return value == c.operand, true
	}
	if c.regex == nil {
		return false, false
	}
	return c.regex.MatchString(value), true
}

// captured returns what the regex of the condition captures in a value that is known.
func (c condition) captured() map[string]string {
	if !c.isKnown || c.negated || c.regex == nil {
		return nil
	}
	values := map[string]string{}
	for i, value := range c.regex.FindStringSubmatch(c.subject) {
		if name := c.regex.SubexpNames()[i]; name != "" {
			values[Lower(name)] = value
		}
		if 0 < i && i < 10 {
			values[strconv.Itoa(i)] = value
		}
	}
	return values
}

// same looks for a fact about the same condition.
func (known facts) same(c condition) (met, isKnown bool) {
	for _, f := range known {
		if f.subject == c.subject && f.operator == c.operator && f.operand == c.operand && f.isFile == c.isFile {
			return f.met == (f.negated == c.negated), true
		}
	}
	return false, false
}

// values returns the values that an expression can have, if these are few.
func (known facts) values(subject string) (values []string, ok bool) {
	for _, f := range known {
		isMet := f.met != f.negated
		switch {
		case f.subject != subject || f.isFile:
		case f.operator == "=" && isMet && !strings.Contains(f.operand, "$"):
			return []string{f.operand}, true
		case f.operator == "" && !isMet:
			values, ok = []string{"", "0"}, true
		}
	}
	if subject == "$scheme" && !ok {
		values, ok = []string{"http", "https"}, true
	}
	isPossible := func(value string) bool { return !known.excludesValue(subject, value) }
	return slices.DeleteFunc(values, func(value string) bool { return !isPossible(value) }), ok
}

// excludes reports whether the facts exclude the condition: it compares with a value that
// the expression cannot have, or excludes such values only.
func (known facts) excludes(c condition) (met, isKnown bool) {
	switch {
	case c.operator == "=" && known.excludesValue(c.subject, c.operand):
		return c.negated, true
	case c.operator == "" && known.excludesValue(c.subject, "") && known.excludesValue(c.subject, "0"):
		return true, true
	}
	return false, false
}

// excludesValue reports whether an expression cannot have that value.
func (known facts) excludesValue(subject, value string) bool {
	return slices.ContainsFunc(known, func(f fact) bool {
		if f.subject != subject || f.isFile || strings.Contains(f.operand, "$") && f.operator == "=" {
			return false
		}
		met, isKnown := f.matches(value)
		return isKnown && met != (f.met != f.negated)
	})
}

// mayBeEmpty reports whether an expression may have no text at all, and because of which
// variable. A variable without a name: it has no text at all.
func (defs *definitions) mayBeEmpty(e Expression, known facts, depth int) (because Variable, ok bool) {
	for _, p := range e {
		if !p.IsVariable {
			return Variable{}, false
		}
		v, isEmpty := defs.isSometimesEmpty(p.Text, known, depth)
		if !isEmpty || known.excludesValue(Canonical("$"+p.Text), "") {
			return Variable{}, false
		}
		because = v
	}
	return because, true
}

// isSometimesEmpty reports whether a variable may have no value.
func (defs *definitions) isSometimesEmpty(name string, known facts, depth int) (v Variable, ok bool) {
	lower := Lower(name)
	for _, prefix := range []string{"arg_", "cookie_", "http_"} {
		if strings.HasPrefix(lower, prefix) && lower != "http_host" {
			return Variable{Name: "$" + name, Kind: "request"}, true
		}
	}
	made, ok := defs.other[lower]
	if !ok || depth == 0 {
		return Variable{}, lower == "args" || lower == "query_string" || lower == "is_args"
	}
	switch made.Kind {
	case "map", "geo":
		return made.Variable, slices.ContainsFunc(defs.results(made, known), func(result string) bool {
			_, isEmpty := defs.mayBeEmpty(ParseExpression(result), nil, depth-1)
			return isEmpty
		})
	}
	return Variable{}, false
}

// results returns what a map or geo can give, as far as the facts restrict its source.
func (defs *definitions) results(made definition, known facts) (results []string) {
	sources, ok := known.values(Canonical(made.Value))
	if !ok || made.Kind != "map" {
		return made.by.allResults()
	}
	name, _ := ParseExpression(made.Value).alone()
	if inner := defs.other[name]; inner.Kind == "map" {
		possible := inner.by.allResults()
		sources = slices.DeleteFunc(sources, func(source string) bool { return !slices.Contains(possible, source) })
	}
	for _, source := range sources {
		result, ok := defs.mapOf(made.by, source)
		if !ok {
			return made.by.allResults()
		}
		results = append(results, result)
	}
	return results
}
