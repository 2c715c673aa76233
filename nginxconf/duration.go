package nginxconf

import (
	"strconv"
	"strings"
	"time"
)

// duration returns the timeout in force, a minute by default.
func (s *scope) duration(name string) (Duration, error) {
	d := s.find(name)
	if d == nil {
		return Duration{Value: time.Minute}, nil
	}
	value, ok := parseTime(d.arg(0))
	if len(d.args) != 1 || !ok {
		return Duration{}, d.mistake("%s: it takes one time, as in 500ms, 1s or 1m30s", d)
	}
	return Duration{d.Place, value}, nil
}

// units are those of ngx_parse_time. A time must have them in this order.
var units = []struct {
	name string
	long time.Duration
}{
	{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond},
}

// maxTime stands for ever.
const maxTime = 100 * 365 * 24 * time.Hour

// parseTime reads a time as nginx does. A number without a unit means seconds, and must be
// the last one.
func parseTime(s string) (total time.Duration, ok bool) {
	for next := 0; s != ""; s = strings.TrimLeft(s, " ") {
		number := s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, false
		}
		s = s[len(number):]
		unit := cutUnit(&s)
		if unit < 0 && strings.Trim(s, " ") == "" {
			return total + times(n, time.Second), true
		}
		if unit < next {
			return 0, false
		}
		total += times(n, units[unit].long)
		next, ok = unit+1, true
	}
	return total, ok
}

// cutUnit cuts a unit off and returns its index, or -1 if there is none.
func cutUnit(s *string) int {
	found := -1
	for i, u := range units {
		if strings.HasPrefix(*s, u.name) {
			found = i // ms comes after m
		}
	}
	if found >= 0 {
		*s = (*s)[len(units[found].name):]
	}
	return found
}

func times(n int64, long time.Duration) time.Duration {
	return time.Duration(min(n, int64(maxTime/long))) * long
}
