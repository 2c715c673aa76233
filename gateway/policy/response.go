package policy

import (
	"slices"
	"strings"
	"time"

	"uwgate/uwsgi"
)

// Response decides about an answer by its head, before the uwsgi.Response is
// cleaned for the next hop. v and plan are those of the request; now is when
// the head came.
func (p *Policy) Response(v uwsgi.Vars, plan Plan, r *uwsgi.Response, now time.Time) Verdict {
	if plan.Reason != "" {
		return Verdict{Reason: plan.Reason}
	}
	if reason := p.refusalOf(v, r); reason != "" {
		return Verdict{Reason: reason}
	}
	ttl, source := p.lifetime(r.Header, now)
	switch {
	case ttl <= 0:
		return Verdict{Reason: Expired}
	case source == DefaultTTL && p.hasOtherCookie(v):
		return Verdict{Reason: Cookie}
	}
	return Verdict{TTL: p.clamp(ttl), Reason: source}
}

// refusalOf is what speaks against storing in the head, lifetimes aside.
func (p *Policy) refusalOf(v uwsgi.Vars, r *uwsgi.Response) Reason {
	if r.StatusCode != 200 {
		return Status
	}
	if reason := forbids(r.Header); reason != "" {
		return reason
	}
	switch h := r.Header; {
	case !p.coversVary(v, h):
		return Vary
	case isEncoded(h):
		return ContentEncoding
	case h.Has("Content-Range"):
		return ContentRange
	case hasConflict(h):
		return DuplicateHeader
	case !p.isHitType(v, h):
		return ContentType
	case losesHeader(h):
		return HeaderLoss
	}
	return p.refusalOfLength(r)
}

// forbids is the origin's own no.
func forbids(h uwsgi.Header) Reason {
	cc := responseControl(h)
	switch {
	case h.Has("X-Accel-Redirect"), h.Has("X-Sendfile"), h.Has("X-Lighttpd-Send-File"):
		return AccelRedirect
	case h.Has("Set-Cookie"), h.Has("Set-Cookie2"):
		return SetCookie
	case cc.noStore:
		return NoStore
	case cc.private:
		return Private
	case cc.noCache, !h.Has("Cache-Control") && hasPragma(h): // RFC 9111 §5.4
		return NoCache
	}
	return ""
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

// hasToken looks for a member of a comma-separated list, without case.
func hasToken(list, token string) bool {
	for member := range strings.SplitSeq(list, ",") {
		if equalFold(strings.Trim(member, " \t"), token) {
			return true
		}
	}
	return false
}

// coversVary reports whether pages that differ by Vary have different keys
// (RFC 9111 §4.1). Accept-Encoding is covered since a candidate asks for the
// identity form. Of a key that was handed over only the template can tell what it
// contains, if it renders that very key.
func (p *Policy) coversVary(v uwsgi.Vars, h uwsgi.Header) bool {
	for i := range h {
		if !equalFold(h[i].Name, "Vary") {
			continue
		}
		for name := range strings.SplitSeq(h[i].Value, ",") {
			name = strings.Trim(name, " \t")
			if name == "" || equalFold(name, "Accept-Encoding") {
				continue
			}
			if !p.isTemplateRight(v, v.Get(varKey)) || !p.Template.Covers(name) {
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

// singletons are headers of which two different lines leave open which one
// counts. (nginx takes the first or the last, by version and by header.)
var singletons = []string{
	"Content-Type", "Content-Length", "Expires", "Date", "Age", "X-Accel-Expires", "ETag", "Last-Modified",
}

func hasConflict(h uwsgi.Header) bool {
	for _, name := range singletons {
		first := slices.IndexFunc(h, func(f uwsgi.Field) bool { return equalFold(f.Name, name) })
		if first < 0 {
			continue
		}
		for _, f := range h[first+1:] {
			if equalFold(f.Name, name) && f.Value != h[first].Value {
				return true
			}
		}
	}
	return false
}

func (p *Policy) refusalOfLength(r *uwsgi.Response) Reason {
	switch {
	case !isFramed(r):
		return NoLength
	case r.Chunked:
		return ""
	case r.ContentLength == 0:
		return Empty
	case r.ContentLength > p.BodyLimit():
		return TooLarge
	}
	return ""
}

// isFramed reports whether the end of the body can prove itself, by one
// framing and no more (RFC 9112 §6.3).
func isFramed(r *uwsgi.Response) bool {
	return !r.Ambiguous && (r.Chunked || r.ContentLength >= 0)
}
