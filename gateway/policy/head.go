package policy

import (
	"slices"
	"time"

	"uwgate/uwsgi"
)

// A head is the head of a response with its request, and what is needed of it more
// than once. It is made for one decision.
type head struct {
	p         *Policy
	v         uwsgi.Vars // the request's, as received
	r         *uwsgi.Response
	now       time.Time
	rule      *Rule        // the one that matches, nil for none
	cc        cacheControl // of the Cache-Control lines
	cdn       *targeted    // CDN-Cache-Control
	surrogate *targeted    // Surrogate-Control
	age       time.Duration
}

func (p *Policy) newHead(v uwsgi.Vars, r *uwsgi.Response, now time.Time) head {
	h := head{p: p, v: v, r: r, now: now, cc: responseControl(r.Header)}
	h.cdn = parseTargeted(r.Header, fieldCDN)
	h.surrogate = parseTargeted(r.Header, fieldSurrogate)
	h.age = currentAge(r.Header, now)
	return h
}

// headRefusals are all reasons in a head not to store, except its lifetime. The
// first that find reports decides; explain lists them all.
var headRefusals = []Reason{
	Excluded, Status, AccelRedirect, SetCookie, NoStore, Private, NoCache, Vary, ContentEncoding, ContentRange,
	DuplicateHeader, ContentType, HeaderLoss, NoLength, Empty, TooLarge,
}

// find reports whether one of headRefusals holds, and names the header at fault if
// it is a single one. It is a switch, because a table of functions would move h to
// the heap.
func (h *head) find(r Reason) (at string, found bool) {
	switch r {
	case Excluded:
		return h.findBypass()
	case Status:
		return "", h.r.StatusCode != 200 && !h.isStorableError()
	case AccelRedirect:
		return h.firstOf("X-Accel-Redirect", "X-Sendfile", "X-Lighttpd-Send-File")
	case SetCookie:
		return h.firstOf("Set-Cookie", "Set-Cookie2")
	case NoStore:
		return h.directive(h.cc.forbidsStoring(), h.cdn.words.forbidsStoring(), h.surrogate.words.noStore)
	case Private:
		return h.directive(h.cc.private, h.cdn.words.private, h.surrogate.words.private)
	case NoCache:
		return h.findNoCache()
	case Vary:
		return h.findVary()
	case ContentEncoding:
		return "Content-Encoding", isEncoded(h.r.Header)
	case ContentRange:
		return h.firstOf("Content-Range")
	case DuplicateHeader:
		return conflict(h.r.Header)
	case ContentType:
		return "Content-Type", !h.p.Hits.Format.hasHead() && !h.p.Hits.isTypeOf(h.v, h.r.Header)
	case HeaderLoss:
		return h.p.Hits.refusedHeader(h.r.Header)
	case NoLength:
		return "", !isFramed(h.r) && !h.p.endsItself(h.r)
	case Empty:
		return "", h.r.ContentLength == 0 && needsBody(h.r)
	case TooLarge:
		return "", h.r.ContentLength > h.p.BodyLimit() || h.hasLargeHead()
	}
	panic("policy: not a reason in a head: " + string(r))
}

// isStorableError reports whether a rule stores the status, and hits have it.
func (h *head) isStorableError() bool {
	return h.p.Hits.Format.hasHead() && h.rule != nil && slices.Contains(h.rule.Statuses, h.r.StatusCode)
}

// findVary finds a Vary that the key does not cover. In FormatHTTP it also finds
// an Access-Control-Allow-Origin for the origin of this request: the application
// may send another origin another value, without Vary.
func (h *head) findVary() (at string, found bool) {
	const permission = "Access-Control-Allow-Origin"
	origin := h.v.Get("HTTP_ORIGIN")
	if h.p.Hits.Format.hasHead() && origin != "" && h.r.Header.Get(permission) == origin && !h.p.Keys.isInKey(h.v, "Origin") {
		return permission, true
	}
	return "Vary", !h.p.coversVary(h.v, h.r.Header)
}

// hasLargeHead reports whether the stored head is too large for nginx.
func (h *head) hasLargeHead() bool { return len(h.p.StoredHead(h.r, h.now)) > maxHead }

// needsBody reports whether an empty body is probably a mistake. Redirects often
// have none.
func needsBody(r *uwsgi.Response) bool { return r.StatusCode == 200 }

// findBypass finds a rule with ActionBypass that waited for the response, or is
// below one that did.
func (h *head) findBypass() (at string, found bool) {
	if h.rule == nil {
		return "", false
	}
	return h.rule.String(), h.rule.Action == ActionBypass
}

// refusal returns the first reason in the head not to store, "" if there is none.
func (h *head) refusal() Reason {
	for _, r := range headRefusals {
		if _, found := h.find(r); found {
			return r
		}
	}
	return ""
}

// firstOf returns the first of the names that the head has.
func (h *head) firstOf(names ...string) (at string, found bool) {
	for _, name := range names {
		if h.r.Header.Has(name) {
			return name, true
		}
	}
	return "", false
}

// directive returns the first of the fields that has the directive.
func (h *head) directive(inCacheControl, inCDN, inSurrogate bool) (at string, found bool) {
	switch {
	case inCacheControl:
		return "Cache-Control", true
	case inCDN:
		return fieldCDN, true
	case inSurrogate:
		return fieldSurrogate, true
	}
	return "", false
}

// findNoCache checks Pragma only if there is no Cache-Control (RFC 9111 §5.4).
func (h *head) findNoCache() (at string, found bool) {
	if at, found := h.directive(h.cc.noCache, h.cdn.words.noCache, h.surrogate.words.noCache); found {
		return at, true
	}
	return "Pragma", !h.r.Header.Has("Cache-Control") && hasPragma(h.r.Header)
}
