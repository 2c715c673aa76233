package policy

import (
	"bytes"
	"mime"
	"strings"
	"unicode/utf8"

	"uwgate/uwsgi"
)

// A content is a body, as far as it arrived, with its head.
type content struct {
	p               *Policy
	r               *uwsgi.Response
	body            []byte
	whole, trailers bool // what the body's reader knows
}

// bodyRefusals are the reasons that only the whole body shows. The first that is
// found decides.
var bodyRefusals = []struct {
	reason Reason
	find   func(*content) bool
}{
	{NoLength, func(c *content) bool { return !isFramed(c.r) && !(c.p.endsItself(c.r) && endsHTML(c.body)) }},
	{Truncated, (*content).isShort},
	{Empty, func(c *content) bool { return len(c.body) == 0 && needsBody(c.r) }},
	{TooLarge, func(c *content) bool { return int64(len(c.body)) > c.p.BodyLimit() }},
	{Trailers, func(c *content) bool { return c.trailers }},
	{ContentType, (*content).mislabels},
	{Sentinel, (*content).hasSentinel},
}

// isShort reports whether the body is not as long as its framing announced.
func (c *content) isShort() bool {
	switch {
	case !isFramed(c.r): // it announced nothing
		return false
	case !c.whole:
		return true
	}
	return !c.r.Chunked && int64(len(c.body)) != c.r.ContentLength
}

func (c *content) hasSentinel() bool {
	_, found := c.p.sentinel(c.body)
	return found
}

// Body decides about a page after its last byte, if its head allows storing. whole
// and trailers come from the reader of the body. Call Body only if the stream
// ended without an error: with AcceptUnframed, Body may not look at whole. It
// returns "" if the page may be stored.
func (p *Policy) Body(r *uwsgi.Response, body []byte, whole, trailers bool) Reason {
	c := &content{p, r, body, whole, trailers}
	for _, refusal := range bodyRefusals {
		if refusal.find(c) {
			return refusal.reason
		}
	}
	return ""
}

// JudgesBody reports whether only the whole body shows that a page is for
// everybody. If so, no other client may get the page before its last byte has
// arrived.
func (p *Policy) JudgesBody() bool { return len(orDefault(p.Sentinels, DefaultSentinels)) > 0 }

// sentinel finds one of Sentinels in the body.
func (p *Policy) sentinel(body []byte) (word string, found bool) {
	for _, s := range orDefault(p.Sentinels, DefaultSentinels) {
		if bytes.Contains(body, []byte(s)) {
			return s, true
		}
	}
	return "", false
}

// endsItself reports whether the end of the page, and not its framing, must prove
// that the page is complete. Then endsHTML decides.
func (p *Policy) endsItself(r *uwsgi.Response) bool {
	return p.AcceptUnframed && !r.Ambiguous && !r.Chunked && r.ContentLength < 0 && isHTML(r.Header)
}

func isHTML(h uwsgi.Header) bool {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return equalFold(strings.Trim(mediaType, " \t"), "text/html")
}

// endsHTML reports whether the page ends with its closing tag, followed by white
// space only.
func endsHTML(body []byte) bool {
	const tag = "</html>"
	body = bytes.TrimRight(body, " \t\n\f\r")
	return len(body) >= len(tag) && equalFold(string(body[len(body)-len(tag):]), tag)
}

// isFramed reports whether the response has exactly one framing, so that the end
// of the body can be recognized (RFC 9112 §6.3).
func isFramed(r *uwsgi.Response) bool {
	return !r.Ambiguous && (r.Chunked || r.ContentLength >= 0)
}

// mislabels reports whether a hit would declare UTF-8 for a body that is not
// UTF-8, though the response named no charset. A zero byte means UTF-16. An escape
// byte means a charset such as ISO-2022-JP, whose bytes all look like ASCII.
func (c *content) mislabels() bool {
	if c.p.Hits.Format.hasHead() {
		return false
	}
	got := c.r.Header.Get("Content-Type")
	_, params, err := mime.ParseMediaType(got)
	if err != nil || params["charset"] != "" || !equalFold(charsetOf(c.p.Hits.defaultType()), utf8Parameter) {
		return false
	}
	return !utf8.Valid(c.body) || bytes.ContainsAny(c.body, "\x00\x1b")
}
