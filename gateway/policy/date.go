package policy

import (
	"strings"
	"time"
)

// A dateForm is one in which HTTP writes dates (RFC 9110 §5.6.7).
type dateForm struct {
	layout string // behind the day's name
	days   string // the names that it has for days
}

const (
	shortDays = " Mon Tue Wed Thu Fri Sat Sun "
	longDays  = " Monday Tuesday Wednesday Thursday Friday Saturday Sunday "
)

var dateForms = [...]dateForm{
	{", 02 Jan 2006 15:04:05 GMT", shortDays},
	{", 02-Jan-06 15:04:05 GMT", longDays}, // RFC 850
	{" Jan _2 15:04:05 2006", shortDays},   // C's asctime
}

// parseDate reads an HTTP date in one of the three forms, and in none that is only like
// them: http.ParseTime takes two spaces, an hour of one digit, and names in any case.
// The name of another day than the date's is let pass.
func parseDate(s string) (time.Time, bool) {
	end := strings.IndexAny(s, ", ")
	if end < 0 {
		return time.Time{}, false
	}
	day, rest := s[:end], s[end:]
	for i := range dateForms {
		f := &dateForms[i]
		if isLike(rest, f.layout) && strings.Contains(f.days, " "+day+" ") {
			t, err := time.Parse(f.layout, rest)
			return t, err == nil
		}
	}
	return time.Time{}, false
}

// isLike reports whether s has digits, small letters and capitals where the layout has
// them, and all else as it is there. That is where time.Parse is lax.
func isLike(s, layout string) bool {
	if len(s) != len(layout) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch like := layout[i]; {
		case isDigit(like):
			if !isDigit(c) {
				return false
			}
		case 'a' <= like && like <= 'z':
			if c < 'a' || c > 'z' {
				return false
			}
		case 'A' <= like && like <= 'Z':
			if c < 'A' || c > 'Z' {
				return false
			}
		case like == '_': // a space, or the first of two digits
			if c != ' ' && (c < '1' || c > '9') {
				return false
			}
		case c != like:
			return false
		}
	}
	return true
}
