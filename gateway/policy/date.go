package policy

import (
	"strings"
	"time"
)

// A dateForm is a format in which HTTP writes dates (RFC 9110 §5.6.7).
type dateForm struct {
	days string // the names that it has for days

	// shape is what follows the name: 0 is a digit, A a capital, a a small letter, _ a
	// space or a digit but 0, and all else itself.
	shape string

	day, month, year, clock int // where they begin in it
}

const (
	shortDays = " Mon Tue Wed Thu Fri Sat Sun "
	longDays  = " Monday Tuesday Wednesday Thursday Friday Saturday Sunday "
	months    = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

var dateForms = [...]dateForm{
	{shortDays, ", 00 Aaa 0000 00:00:00 GMT", 2, 5, 9, 14},
	{longDays, ", 00-Aaa-00 00:00:00 GMT", 2, 5, 9, 12}, // RFC 850
	{shortDays, " Aaa _0 00:00:00 0000", 5, 1, 17, 8},   // C's asctime
}

// parseDate reads an HTTP date in exactly one of the three formats; http.ParseTime
// also accepts two spaces, an hour of one digit, and names in any case. parseDate
// does not check that the day of the week fits the date.
func parseDate(s string) (time.Time, bool) {
	end := strings.IndexByte(s, ' ')
	if end > 0 && s[end-1] == ',' {
		end--
	}
	if end <= 0 {
		return time.Time{}, false
	}
	day, rest := s[:end], s[end:]
	for i := range dateForms {
		if f := &dateForms[i]; f.fits(rest) {
			t, ok := f.read(rest)
			return t, ok && strings.Contains(f.days, " "+day+" ")
		}
	}
	return time.Time{}, false
}

// fits reports whether s has the shape.
func (f *dateForm) fits(s string) bool {
	if len(s) != len(f.shape) {
		return false
	}
	for i := range len(s) {
		c, fits := s[i], false
		switch want := f.shape[i]; want {
		case '0':
			fits = isDigit(c)
		case 'A':
			fits = 'A' <= c && c <= 'Z'
		case 'a':
			fits = 'a' <= c && c <= 'z'
		case '_':
			fits = c == ' ' || '1' <= c && c <= '9'
		default:
			fits = c == want
		}
		if !fits {
			return false
		}
	}
	return true
}

// read reads a date that fits.
func (f *dateForm) read(s string) (time.Time, bool) {
	day, month := number(s[f.day:f.day+2]), strings.Index(months, s[f.month:f.month+3])
	clock := s[f.clock:]
	hour, minute, second := number(clock[:2]), number(clock[3:5]), number(clock[6:8])
	year := number(s[f.year : f.year+2])
	switch {
	case f.days == shortDays:
		year = 100*year + number(s[f.year+2:f.year+4])
	case year < 69: // as package time reads two digits
		year += 2000
	default:
		year += 1900
	}
	t := time.Date(year, time.Month(month/3+1), day, hour, minute, second, 0, time.UTC)
	return t, month >= 0 && t.Day() == day && hour < 24 && minute < 60 && second < 60
}

// number reads two digits; the first may be a space.
func number(s string) int {
	n := int(s[1] - '0')
	if s[0] != ' ' {
		n += 10 * int(s[0]-'0')
	}
	return n
}
