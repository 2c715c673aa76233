package snippet

import (
	"fmt"
	"strings"

	"uwgate/nginxconf"
)

// A quoter writes arguments such that nginx reads them back unchanged. It collects what
// cannot be written.
type quoter struct{ errs []error }

func (q *quoter) fail(format string, args ...any) {
	q.errs = append(q.errs, fmt.Errorf("nginx: "+format, args...))
}

// quote writes an argument in which nginx does not expand variables.
func (q *quoter) quote(what, s string) string {
	if s == "" {
		q.fail("%s is empty", what)
	}
	if s != "" && strings.IndexFunc(s, isSpecial) < 0 {
		return s
	}
	return q.quotePattern(what, s)
}

func isSpecial(r rune) bool { return r <= ' ' || strings.ContainsRune(`;{}"'\#$`, r) }

func (q *quoter) quoteFields(what string, fields []string) string {
	quoted := make([]string, 0, len(fields))
	for _, f := range fields {
		quoted = append(quoted, q.quote(what, f))
	}
	return strings.Join(quoted, " ")
}

// quoteValue writes a text into an argument in which nginx expands variables.
func (q *quoter) quoteValue(what, s string) string {
	if strings.Contains(s, "$") {
		q.fail("%s, %q, has a dollar sign, which in nginx begins a variable and cannot be written", what, s)
	}
	return q.quote(what, s)
}

// quoteKey writes an argument with variables that nginx shall expand.
func (q *quoter) quoteKey(s string) string { return q.quotePattern("the key", s) }

// quotePattern writes an argument in quotes.
func (q *quoter) quotePattern(what, s string) string {
	if i := strings.IndexFunc(s, isControl); i >= 0 {
		q.fail("%s, %q, has a control character", what, s)
	}
	return nginxconf.Quote(s)
}

// quoteRows writes a regex with (?x) in several lines.
func (q *quoter) quoteRows(what, head string, rows []string, tail string) string {
	text := strings.TrimSuffix(q.quotePattern(what, head), `"`)
	for _, row := range rows {
		row = q.quotePattern(what, row)
		text += "\n        " + row[1:len(row)-1]
	}
	if text += "\n        " + q.quotePattern(what, tail)[1:]; len(text) > 4095 {
		q.fail("%s: the names are too long for nginx, which takes 4095 bytes; use globs", what)
	}
	return text
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
