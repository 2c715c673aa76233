package policy

import (
	"errors"
	"net/http"
	"time"

	"uwgate/uwsgi"
)

// A Format is what a stored value is, in the words of the flag. It decides what
// a hit can carry.
type Format string

// The formats; the zero Format is FormatBody.
const (
	FormatBody Format = "body" // the body alone, for memcached_pass
	FormatGzip Format = "gzip" // the same, compressed if nginx's memcached_gzip_flag says so
	FormatHTTP Format = "http" // head and body, for srcache_fetch
)

// ParseFormat reads the name of a format.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case FormatBody, FormatGzip, FormatHTTP:
		return f, nil
	}
	return "", errors.New("there are body, for nginx's memcached_pass, gzip, with its memcached_gzip_flag, and http, for srcache_fetch")
}

// hasHead reports whether a hit carries the application's own head.
func (f Format) hasHead() bool { return f == FormatHTTP }

// maxHead is the largest head that srcache reads: srcache_header_buffer_size, a
// memory page by default. With a larger one every lookup would be a miss.
const maxHead = 4096

// StoredHead returns the head that goes before the body in FormatHTTP, as a hit
// has it from nginx, who passes every line of it on. now is the Date of an answer that has
// none: a browser counts max-age from there, and so it sees how long the page has
// lain here. It does not change r. In the other formats it is nil.
func (p *Policy) StoredHead(r *uwsgi.Response, now time.Time) []byte {
	if !p.Hits.Format.hasHead() {
		return nil
	}
	clean := *r
	clean.Header = r.Header.Clone()
	clean.Clean()
	stored := uwsgi.Response{StatusCode: r.StatusCode, Reason: r.Reason}
	for _, f := range clean.Header {
		if headerRuleOf(f).inHTTP != drop {
			stored.Header = append(stored.Header, f)
		}
	}
	if !stored.Header.Has("Date") {
		stored.Header.Add("Date", now.UTC().Format(http.TimeFormat))
	}
	stored.Header.Add("Cache-Status", "uwgate; hit")
	return stored.AppendHead(nil)
}

// storableStatuses are those that a rule may have stored besides 200: final
// answers that say nothing about this one request.
var storableStatuses = []int{301, 302, 307, 308, 404, 410, 451}
