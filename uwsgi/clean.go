package uwsgi

import (
	"slices"
	"strings"
)

// Clean removes what is not for the next hop: the hop-by-hop lines (RFC 9110 §7.6.1).
// A 101 keeps Upgrade and the Connection line that belongs to it. A 426 keeps
// Upgrade, which it must have (§15.5.22), without that line: nginx writes its own.
// Clean leaves exactly one Content-Length line if ContentLength is known and the body
// was not chunked, else none; 1xx and 204 never have one. Decide about the response
// first: afterwards Connection and Transfer-Encoding are gone. It changes Header in
// place.
func (r *Response) Clean() {
	named := r.connectionOptions()
	switching := r.StatusCode == 101 && r.Header.Has("Upgrade")
	r.Header = slices.DeleteFunc(r.Header, func(f Field) bool {
		if (switching || r.StatusCode == 426) && equalName(f.Name, "Upgrade") {
			return false
		}
		return isHopByHop(f.Name) || containsFold(named, f.Name)
	})
	if switching {
		r.Header.Add("Connection", "Upgrade")
	}
	if r.ContentLength < 0 || r.Chunked || r.StatusCode < 200 || r.StatusCode == 204 {
		r.Header.Del("Content-Length")
		return
	}
	r.setLength(r.ContentLength)
}

// connectionOptions returns the names that Connection makes hop-by-hop. It leaves out
// what is meant for every hop (RFC 9110 §7.6.1): a response must not be able to hide
// its Cache-Control or Set-Cookie from nginx.
func (r *Response) connectionOptions() []string {
	var names []string
	for _, f := range r.Header {
		if !equalName(f.Name, "Connection") {
			continue
		}
		for option := range strings.SplitSeq(f.Value, ",") {
			option = trimBlanks(option)
			if option != "" && !isEndToEnd(option) {
				names = append(names, option)
			}
		}
	}
	return names
}

var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "TE", "Trailer", "Upgrade"}

func isHopByHop(name string) bool { return containsFold(hopByHop, name) }

var endToEnd = []string{"Cache-Control", "Expires", "Pragma", "Vary", "Age", "Date", "ETag", "Last-Modified", "Location", "Set-Cookie", "Status"}

func isEndToEnd(name string) bool {
	return containsFold(endToEnd, name) || hasPrefixFold(name, "Content-") || hasPrefixFold(name, "X-Accel-")
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(s string) bool { return equalName(s, name) })
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
