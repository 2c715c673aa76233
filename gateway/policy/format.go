package policy

import (
	"errors"
	"net/http"
	"time"

	"uwgate/uwsgi"
)

// A Format says what a stored value consists of, in the words of the flag. It
// determines what a hit can have.
type Format string

// The formats; the zero Format is FormatBody.
const (
	FormatBody Format = "body" // the body alone, for memcached_pass
	FormatGzip Format = "gzip" // the same, compressed if nginx's memcached_gzip_flag says so
	FormatHTTP Format = "http" // head and body, for srcache_fetch
)

// ParseFormat returns the format of that name.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case FormatBody, FormatGzip, FormatHTTP:
		return f, nil
	}
	return "", errors.New("write body (nginx has memcached_pass), gzip (and memcached_gzip_flag) or http (srcache_fetch)")
}

// hasHead reports whether a hit has the application's own head.
func (f Format) hasHead() bool { return f == FormatHTTP }

// maxHead is the size in bytes of the largest head that srcache reads:
// srcache_header_buffer_size, by default one memory page. With a larger head every
// lookup would be a miss.
const maxHead = 4096

// StoredHead returns the head that is stored before the body in FormatHTTP; nginx
// sends every line of it with a hit. now becomes the Date of a response that has
// none: browsers count max-age from there, and so they see how long the page was
// stored. StoredHead does not change r. In other formats it returns nil.
func (p *Policy) StoredHead(r *uwsgi.Response, now time.Time) []byte {
	if !p.Hits.Format.hasHead() {
		return nil
	}
	clean := *r
	clean.Header = r.Header.Clone()
	clean.Clean()
	stored := uwsgi.Response{StatusCode: r.StatusCode, Reason: r.Reason}
	for _, f := range clean.Header {
		if rule := headerRuleOf(f); rule.inHTTP != drop || rule.isTags && p.Hits.KeepTags {
			stored.Header = append(stored.Header, f)
		}
	}
	if !stored.Header.Has("Date") {
		stored.Header.Add("Date", now.UTC().Format(http.TimeFormat))
	}
	stored.Header.Add("Cache-Status", "uwgate; hit")
	return stored.AppendHead(nil)
}

// storableStatuses are the statuses that a rule may store besides 200: final
// responses that do not depend on a single request.
var storableStatuses = []int{301, 302, 307, 308, 404, 410, 451}
