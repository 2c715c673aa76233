package policy

import (
	"slices"
	"strings"
	"time"

	"uwgate/uwsgi"
)

// Response decides about a response by its head, before the uwsgi.Response is
// cleaned for the next hop. v and plan belong to the request; now is the time at
// which the head arrived.
func (p *Policy) Response(v uwsgi.Vars, plan Plan, r *uwsgi.Response, now time.Time) Verdict {
	if plan.Reason != "" {
		return Verdict{Reason: plan.Reason}
	}
	h := p.newHead(v, r, now)
	h.rule = p.rule(p.ruleOf(v, plan, r.Header))
	if reason := h.refusal(); reason != "" {
		return Verdict{Reason: reason}
	}
	ttl, source := h.lifetime()
	switch {
	case ttl <= 0:
		return Verdict{Reason: Expired}
	case plan.Alone && (source.isOurs() || !h.cc.allowsAuthorized()):
		return Verdict{Reason: Authorization}
	case plan.unsure != "" && source.isOurs():
		return Verdict{Reason: plan.unsure}
	}
	granted := p.grants(ttl, source, h.rule)
	granted.Grace, granted.StaleIfError = h.stale()
	granted.Tags, granted.TagsLost = tagsOf(r.Header, h.rule)
	return granted
}

// grants returns the verdict on a page that may be stored for ttl.
func (p *Policy) grants(ttl time.Duration, source Reason, rule *Rule) Verdict {
	v := Verdict{TTL: p.Lifetimes.clamp(ttl, rule), Reason: source, Observe: p.Observe}
	v.Observe = v.Observe || rule != nil && rule.Action == ActionObserve
	return v
}

func responseControl(h uwsgi.Header) cacheControl {
	var cc cacheControl
	for i := range h {
		if equalFold(h[i].Name, "Cache-Control") {
			cc.parse(h[i].Value)
		}
	}
	return cc
}

func hasPragma(h uwsgi.Header) bool {
	return slices.ContainsFunc(h, func(f uwsgi.Field) bool {
		return equalFold(f.Name, "Pragma") && hasToken(f.Value, "no-cache")
	})
}

// hasToken reports whether a comma-separated list has the member, in any case.
func hasToken(list, token string) bool {
	for member := range strings.SplitSeq(list, ",") {
		if equalFold(strings.Trim(member, " \t"), token) {
			return true
		}
	}
	return false
}

// coversVary reports whether pages that differ by Vary have different keys (RFC
// 9111 §4.1). Accept-Encoding is covered, because a candidate asks for an
// unencoded body. Cookie is covered with VaryCookieAnonymous, if all cookies of
// the request are neutral.
func (p *Policy) coversVary(v uwsgi.Vars, h uwsgi.Header) bool {
	return p.coversVaryBut(v, h, func() bool {
		return p.VaryCookieAnonymous && p.Visitors.orDefault().ofCookies(v) == neutral
	})
}

// coversVaryBut is coversVary; if Vary names Cookie, coversCookie decides about it.
func (p *Policy) coversVaryBut(v uwsgi.Vars, h uwsgi.Header, coversCookie func() bool) bool {
	for i := range h {
		if !equalFold(h[i].Name, "Vary") {
			continue
		}
		for name := range strings.SplitSeq(h[i].Value, ",") {
			name = strings.Trim(name, " \t")
			if name == "" || equalFold(name, "Accept-Encoding") {
				continue
			}
			if equalFold(name, "Cookie") && coversCookie() {
				continue
			}
			if !p.Keys.isInKey(v, name) {
				return false
			}
		}
	}
	return true
}

func isEncoded(h uwsgi.Header) bool {
	return slices.ContainsFunc(h, func(f uwsgi.Field) bool {
		return equalFold(f.Name, "Content-Encoding") && f.Value != "" && !equalFold(f.Value, "identity")
	})
}

// singletons are headers that may have one value only. If two lines differ, it is
// open which one counts: nginx takes the first or the last, depending on version
// and header.
var singletons = []string{
	"Content-Type", "Content-Length", "Expires", "Date", "Age", "X-Accel-Expires", "ETag", "Last-Modified",
}

// conflict finds a singleton whose lines differ.
func conflict(h uwsgi.Header) (name string, found bool) {
	for _, name := range singletons {
		first := slices.IndexFunc(h, func(f uwsgi.Field) bool { return equalFold(f.Name, name) })
		if first < 0 {
			continue
		}
		for _, f := range h[first+1:] {
			if equalFold(f.Name, name) && f.Value != h[first].Value {
				return name, true
			}
		}
	}
	return "", false
}
