package gateway

import (
	"strconv"
	"time"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// nginx reads the head of a response into one buffer, of a memory page unless
// uwsgi_buffer_size says another size, and sends 502 in the place of a larger head.
const (
	headBuffer = 4 << 10 // the least that a page of memory has
	bufferUnit = 1 << 10 // larger buffers are set by hand, in KiB
)

// headLimit is the size in bytes that a head may have for any nginx that would take
// one of size bytes. nginx 1.22 breaks off a response whose head fills the buffer to its
// last byte.
func headLimit(size int) int {
	return max(size, headBuffer-1, (size+bufferUnit-1)/bufferUnit*bufferUnit-1)
}

// appendHead appends the response's head as nginx gets it to b.
func (x *exchange) appendHead(b []byte) []byte {
	p := &x.page
	resp := *p.resp
	resp.Header = p.policy.StripTags(resp.Header).Clone()
	resp.Clean()
	x.client.sent.status = resp.StatusCode
	aligned := resp.Header
	if p.mayStore() && x.g.AlignHeaders && p.policy.Hits.Format != policy.FormatHTTP {
		aligned = policy.Align(resp.Header)
	}
	return p.fitHead(b, &resp, aligned)
}

// fitHead appends resp's head to b, with our Cache-Status, and aligned in the place
// of its header. What would make it too large for an nginx that has room for the
// worker's own is left out: first the most of the Cache-Status, then all of it, then
// what has been aligned. If it is too large even so, that lies in how we write the
// lines, and they are written shorter, and as a CGI script would if that is not
// enough: a script's head has no status line. It changes resp.
func (p *page) fitHead(b []byte, resp *uwsgi.Response, aligned uwsgi.Header) []byte {
	limit := len(b) + headLimit(p.resp.Size)
	plain := resp.Header
	for _, status := range []func() string{p.cacheStatus, p.shortCacheStatus} {
		resp.Header = append(aligned, uwsgi.Field{Name: "Cache-Status", Value: status()})
		if head := resp.AppendHead(b); len(head) <= limit {
			return head
		}
	}
	for _, resp.Header = range []uwsgi.Header{aligned, plain} {
		if head := resp.AppendHead(b); len(head) <= limit {
			return head
		}
	}
	if head := resp.AppendShortHead(b); len(head) <= limit {
		return head
	}
	return resp.AppendCGIHead(b)
}

// shortCacheStatus is the least that our member says.
func (p *page) shortCacheStatus() string { return "uwgate; detail=" + p.detail() }

// mayStore reports whether nothing speaks against storing the page so far.
func (p *page) mayStore() bool { return p.verdict.Store() && p.capture.reason == "" }

// cacheStatus is our member of the Cache-Status list (RFC 9211). It is sent with
// the head, and says "stored" only if nothing can refuse the page any more: of one
// that is still on its way it says only the lifetime.
func (p *page) cacheStatus() string {
	v := p.verdict
	if v.Reason == policy.Found || v.Reason == policy.Stale {
		b := append([]byte("uwgate; hit; ttl="), strconv.Itoa(int(v.TTL/time.Second))...)
		return string(append(append(b, "; detail="...), v.Reason...))
	}
	b := []byte("uwgate; fwd=")
	switch p.plan.Reason {
	case "":
		b = append(b, "uri-miss"...)
	case policy.Method, policy.NoMethod:
		b = append(b, "method"...)
	default:
		b = append(b, "bypass"...)
	}
	b = append(b, "; fwd-status="...)
	b = strconv.AppendInt(b, int64(p.resp.StatusCode), 10)
	if p.shared {
		b = append(b, "; collapsed"...)
	}
	if p.stored {
		b = append(b, "; stored"...)
	}
	if p.mayStore() {
		b = append(b, "; ttl="...)
		b = strconv.AppendInt(b, int64(v.TTL/time.Second), 10)
	}
	return string(append(append(b, "; detail="...), p.detail()...))
}

// detail is the word of the decision, as in the log.
func (p *page) detail() string {
	switch {
	case p.verdict.Observe:
		return string(policy.Observe)
	case p.capture.reason != "":
		return string(p.capture.reason)
	}
	return string(p.verdict.Reason)
}
