package policy

import (
	"bytes"
	"mime"
	"strings"
	"unicode/utf8"

	"uwgate/uwsgi"
)

// A content is a whole body, as far as it came, beside its head.
type content struct {
	p               *Policy
	r               *uwsgi.Response
	body            []byte
	whole, trailers bool // what the body's reader knows
}

// bodyRefusals are the things that only the end of the body shows, in the
// order in which they are looked for. The first that is found decides.
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

// isShort reports whether the body is not what its framing announced.
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

// Body decides about a page whose head was wanted, now that its last byte is
// there. whole and trailers are what the body's reader knows; whole is not
// asked where AcceptUnframed decides, so call Body only if the stream has ended
// without an error. It returns "" if nothing speaks against storing.
func (p *Policy) Body(r *uwsgi.Response, body []byte, whole, trailers bool) Reason {
	c := &content{p, r, body, whole, trailers}
	for _, refusal := range bodyRefusals {
		if refusal.find(c) {
			return refusal.reason
		}
	}
	return ""
}

// JudgesBody reports whether what the body says may show that the page is not for
// everyone: until its last byte is there nobody else may see it.
func (p *Policy) JudgesBody() bool { return len(orDefault(p.Sentinels, defaultSentinels)) > 0 }

// sentinel finds a word of Sentinels.
func (p *Policy) sentinel(body []byte) (word string, found bool) {
	for _, s := range orDefault(p.Sentinels, defaultSentinels) {
		if bytes.Contains(body, []byte(s)) {
			return s, true
		}
	}
	return "", false
}

// endsItself reports whether the end of the page, rather than its framing, is
// to prove that it is whole; endsHTML then tells whether it does.
func (p *Policy) endsItself(r *uwsgi.Response) bool {
	return p.AcceptUnframed && !r.Ambiguous && !r.Chunked && r.ContentLength < 0 && isHTML(r.Header)
}

func isHTML(h uwsgi.Header) bool {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return equalFold(strings.Trim(mediaType, " \t"), "text/html")
}

// endsHTML reports whether the last thing in the page is its closing tag, but
// for white space.
func endsHTML(body []byte) bool {
	const tag = "</html>"
	body = bytes.TrimRight(body, " \t\n\f\r")
	return len(body) >= len(tag) && equalFold(string(body[len(body)-len(tag):]), tag)
}

// isFramed reports whether the end of the body can prove itself, by one
// framing and no more (RFC 9112 §6.3).
func isFramed(r *uwsgi.Response) bool {
	return !r.Ambiguous && (r.Chunked || r.ContentLength >= 0)
}

// mislabels reports whether a hit would call the body UTF-8 when the answer did
// not, and the body is not. An escape byte is no part of text, but of charsets
// like ISO-2022-JP, whose bytes all look like ASCII; a zero byte is UTF-16's.
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
