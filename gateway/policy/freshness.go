package policy

import (
	"strings"
	"time"

	"uwgate/uwsgi"
)

// A grant is what one source says about the lifetime.
type grant struct {
	given    bool          // it says something, so the next sources do not count
	absolute bool          // ttl counts from now, Age or not
	ttl      time.Duration // zero if what it says is malformed, or contradicts itself
	value    string        // as the response spells it; empty for the operator's own
}

// left returns what is left of the grant at that age.
func (g grant) left(age time.Duration) time.Duration {
	if g.absolute {
		return g.ttl
	}
	return g.ttl - age
}

// sources are all sources of lifetimes, in order of precedence. The first that
// says anything decides; explain lists them all.
var sources = []Reason{XAccelExpires, CDNCacheControl, SurrogateControl, SMaxAge, MaxAge, Expires, RuleTTL, DefaultTTL}

// ask returns what one of sources says.
func (h *head) ask(source Reason) grant {
	switch source {
	case XAccelExpires:
		return h.accelExpires()
	case CDNCacheControl:
		return h.byCDN()
	case SurrogateControl:
		return h.bySurrogate()
	case SMaxAge:
		return h.cc.sMaxAge.grant()
	case MaxAge:
		return h.cc.maxAge.grant()
	case Expires:
		return h.expires()
	case RuleTTL:
		return h.byRule()
	case DefaultTTL:
		return grant{given: true, ttl: h.p.Lifetimes.Default}
	}
	panic("policy: no source of lifetimes: " + string(source))
}

// lifetime returns how long the response is fresh from now on, and which source
// says so. It is zero or negative if no source grants a lifetime, or if none is
// left.
func (h *head) lifetime() (ttl time.Duration, reason Reason) {
	for _, s := range sources {
		if g := h.ask(s); g.given {
			return g.left(h.age), s
		}
	}
	return 0, Expired
}

// isOurs reports whether the operator grants the lifetime, and not the
// application.
func (r Reason) isOurs() bool { return r == RuleTTL || r == DefaultTTL }

func (h *head) byRule() grant {
	if h.rule == nil || h.rule.TTL <= 0 {
		return grant{}
	}
	return grant{given: true, ttl: h.rule.TTL}
}

func (l lifetime) grant() grant {
	return grant{given: l.given, ttl: l.duration(), value: l.value}
}

func (l lifetime) duration() time.Duration {
	if l.bad {
		return 0
	}
	return time.Duration(l.seconds) * time.Second
}

// clamp keeps a positive lifetime within the limits.
func (l *Lifetimes) clamp(ttl time.Duration, rule *Rule) time.Duration {
	shortest, longest := l.limits(rule)
	return min(max(ttl, shortest), longest)
}

// limits returns Min and Max, or those of the rule if it has any.
func (l *Lifetimes) limits(rule *Rule) (shortest, longest time.Duration) {
	shortest, longest = l.Min, l.longest()
	if rule != nil && rule.MinTTL > 0 {
		shortest = rule.MinTTL
	}
	if rule != nil && rule.MaxTTL > 0 {
		longest = rule.MaxTTL
	}
	return shortest, longest
}

// Spread returns how long to store the page. It shortens the lifetime of the
// verdict by up to Jitter of it, so that pages that were made together do not
// expire together. r is a random number from 0 to 1. The result is under a second
// only if the verdict's is.
func (p *Policy) Spread(v Verdict, r float64) time.Duration {
	if v.TTL <= 0 || !(p.Lifetimes.Jitter > 0) {
		return v.TTL
	}
	share := min(p.Lifetimes.Jitter, 1) * min(max(r, 0), 1)
	ttl := v.TTL - time.Duration(share*float64(v.TTL))
	return max(ttl, min(v.TTL, time.Second))
}

func (l *Lifetimes) longest() time.Duration {
	if l.Max > 0 {
		return l.Max
	}
	return defaultMaxTTL
}

// currentAge returns the greater of Age and the time since Date (RFC 9111 §4.2.3).
// It ignores the delays on the way, which are short.
func currentAge(h uwsgi.Header, now time.Time) (age time.Duration) {
	if date, ok := parseDate(h.Get("Date")); ok {
		age = max(0, wholeSeconds(now.Sub(date)))
	}
	return max(age, parseAge(h.Get("Age")))
}

// parseAge reads an Age (RFC 9111 §5.1): the first member of a list counts, and
// what is no number is ignored.
func parseAge(s string) time.Duration {
	first, _, _ := strings.Cut(s, ",")
	first = strings.Trim(first, " \t")
	if first == "" || strings.Trim(first, "0123456789") != "" {
		return 0
	}
	seconds, ok := parseSeconds(strings.TrimLeft(first, "0"))
	if !ok && strings.Trim(first, "0") != "" {
		seconds = maxSeconds // of more digits than anyone counts
	}
	return time.Duration(seconds) * time.Second
}

func wholeSeconds(d time.Duration) time.Duration { return d.Truncate(time.Second) }

// expires reads Expires (RFC 9111 §4.2.1 and §5.3). A malformed value, such as
// "0", is in the past.
func (h *head) expires() grant {
	fields := h.r.Header
	g := grant{given: fields.Has("Expires"), value: fields.Get("Expires"), absolute: true}
	until, ok := parseDate(g.value)
	if !ok {
		return g
	}
	if date, ok := parseDate(fields.Get("Date")); ok {
		g.ttl, g.absolute = until.Sub(date), false
		return g
	}
	g.ttl = wholeSeconds(until.Sub(h.now))
	return g
}

// accelExpires reads X-Accel-Expires like ngx_http_upstream_process_accel_expires:
// seconds from now, or "@" and seconds since the epoch. A value that ngx_atoi does
// not read is ignored.
func (h *head) accelExpires() grant {
	g := grant{value: h.r.Header.Get("X-Accel-Expires")}
	number, absolute := strings.CutPrefix(g.value, "@")
	seconds, ok := parseCount(number)
	if !ok {
		return g
	}
	if absolute {
		seconds = min(seconds-h.now.Unix(), maxSeconds)
	}
	g.given, g.absolute = true, absolute
	g.ttl = time.Duration(min(seconds, maxSeconds)) * time.Second
	return g
}
