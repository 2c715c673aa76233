package policy

import (
	"net/http"
	"strings"
	"time"

	"uwgate/uwsgi"
)

// lifetime is how long the response is fresh from now on, and which source
// says so. It is zero or negative if nothing grants a lifetime or none is left.
func (p *Policy) lifetime(h uwsgi.Header, now time.Time) (ttl time.Duration, source Reason) {
	age, ok := currentAge(h, now)
	if !ok {
		return 0, Expired
	}
	if ttl, absolute, ok := accelExpires(h, now); ok {
		if absolute {
			age = 0
		}
		return ttl - age, XAccelExpires
	}
	cc := responseControl(h)
	switch {
	case cc.sMaxAge.given:
		return cc.sMaxAge.duration() - age, SMaxAge
	case cc.maxAge.given:
		return cc.maxAge.duration() - age, MaxAge
	case h.Has("Expires"):
		return expires(h, now, age), Expires
	}
	return p.DefaultTTL - age, DefaultTTL
}

func (l lifetime) duration() time.Duration {
	if l.bad {
		return 0
	}
	return time.Duration(l.seconds) * time.Second
}

// clamp keeps a positive lifetime within MinTTL and MaxTTL.
func (p *Policy) clamp(ttl time.Duration) time.Duration {
	limit := p.MaxTTL
	if limit <= 0 {
		limit = defaultMaxTTL
	}
	return min(max(ttl, p.MinTTL), limit)
}

// currentAge is RFC 9111 §4.2.3 without the delays, which are ours and short:
// the greater of Age and the time since Date. A malformed Age may hide any, so
// it is not ok.
func currentAge(h uwsgi.Header, now time.Time) (age time.Duration, ok bool) {
	if date, ok := parseDate(h.Get("Date")); ok {
		age = max(0, wholeSeconds(now.Sub(date)))
	}
	if !h.Has("Age") {
		return age, true
	}
	seconds, ok := parseSeconds(h.Get("Age"))
	return max(age, time.Duration(seconds)*time.Second), ok
}

func wholeSeconds(d time.Duration) time.Duration { return d.Truncate(time.Second) }

// parseDate reads an HTTP date in all its forms (RFC 9110 §5.6.7).
func parseDate(s string) (time.Time, bool) {
	t, err := http.ParseTime(s)
	return t, err == nil
}

// expires is RFC 9111 §4.2.1 and §5.3: what is malformed, "0" above all, lies
// in the past.
func expires(h uwsgi.Header, now time.Time, age time.Duration) time.Duration {
	until, ok := parseDate(h.Get("Expires"))
	if !ok {
		return 0
	}
	date, ok := parseDate(h.Get("Date"))
	if !ok {
		return wholeSeconds(until.Sub(now))
	}
	return until.Sub(date) - age
}

// accelExpires is ngx_http_upstream_process_accel_expires: seconds from now,
// or "@" and seconds since the epoch. What ngx_atoi does not read is ignored.
func accelExpires(h uwsgi.Header, now time.Time) (ttl time.Duration, absolute, ok bool) {
	number, absolute := strings.CutPrefix(h.Get("X-Accel-Expires"), "@")
	seconds, ok := parseCount(number)
	if !ok {
		return 0, false, false
	}
	if absolute {
		seconds = min(seconds-now.Unix(), maxSeconds)
	}
	return time.Duration(min(seconds, maxSeconds)) * time.Second, absolute, true
}
