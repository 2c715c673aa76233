package hits

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// A Lookup is what became of a request's lookup in memcached.
type Lookup string

const (
	Hit     Lookup = "hit"     // nginx served the page from memcached
	Miss    Lookup = "miss"    // memcached did not have it
	Failed  Lookup = "failed"  // memcached did not respond as it should
	Skipped Lookup = "skipped" // nginx did not ask memcached, as for POSTs and logged-in users
)

// Lookups are all of them, in the order of their indices.
var Lookups = [...]Lookup{Hit, Miss, Failed, Skipped}

// index is the place in Lookups.
func (l Lookup) index() int {
	for i, other := range Lookups {
		if l == other {
			return i
		}
	}
	return len(Lookups) - 1
}

// A line is a line of nginx's access log.
type line struct {
	Host     string `json:"host"`
	URI      string `json:"uri"`
	Status   string `json:"status"`
	Bytes    string `json:"bytes"`
	Time     string `json:"time"`
	Addr     string `json:"addr"`     // $upstream_addr
	Upstream string `json:"upstream"` // $upstream_status
	Fetch    string `json:"fetch"`    // $srcache_fetch_status
}

// A request is what a line says.
type request struct {
	host, uri string
	lookup    Lookup
	status    int
	bytes     uint64
	took      time.Duration
}

var errMalformed = errors.New("it is not a line of the printed log_format")

// parse reads a datagram of nginx's syslog: <190>Nov 30 17:45:00 TAG: {…}.
func parse(b []byte, isStore func(addr string) bool) (request, error) {
	_, text, ok := bytes.Cut(b, []byte(": {"))
	if !ok || len(b) == 0 || b[0] != '<' {
		return request{}, errMalformed
	}
	var l line
	if text = b[len(b)-len(text)-1:]; !l.readPlain(text) {
		l = line{}
		if err := json.Unmarshal(text, &l); err != nil {
			return request{}, err
		}
	}
	r := request{host: l.Host, uri: l.URI, lookup: l.lookup(isStore)}
	var errs [3]error
	r.status, errs[0] = strconv.Atoi(l.Status)
	r.bytes, errs[1] = strconv.ParseUint(l.Bytes, 10, 63)
	r.took, errs[2] = parseSeconds(l.Time)
	if err := errors.Join(errs[:]...); err != nil || r.status < 0 || r.status > 999 {
		return request{}, errMalformed
	}
	return r, nil
}

// readPlain reads the usual line, in which nothing is escaped and all is ASCII: a third of the
// work of package json. It returns false for any other line, also for those that are JSON.
func (l *line) readPlain(text []byte) bool {
	rest, ok := bytes.CutPrefix(text, []byte("{"))
	for ok {
		var name, value []byte
		if name, rest, ok = cutPlain(rest); !ok || len(rest) == 0 || rest[0] != ':' {
			return false
		}
		if value, rest, ok = cutPlain(rest[1:]); !ok || len(rest) == 0 {
			return false
		}
		if field := l.field(string(name)); field != nil {
			*field = string(value)
		}
		if rest[0] == '}' {
			return len(rest) == 1
		}
		ok = rest[0] == ','
		rest = rest[1:]
	}
	return false
}

// cutPlain returns what stands in the quotes at the beginning of b, and what follows them.
func cutPlain(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for i, c := range b[1:] {
		switch {
		case c == '"':
			return b[1 : 1+i], b[2+i:], true
		case c < ' ' || c == '\\' || c >= 0x7f:
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// field returns the field of that name; nil: there is none. A name in other letters, such as
// Host, is one for package json, and none here.
func (l *line) field(name string) *string {
	switch name {
	case "host":
		return &l.Host
	case "uri":
		return &l.URI
	case "status":
		return &l.Status
	case "bytes":
		return &l.Bytes
	case "time":
		return &l.Time
	case "addr":
		return &l.Addr
	case "upstream":
		return &l.Upstream
	case "fetch":
		return &l.Fetch
	}
	return nil
}

// parseSeconds reads $request_time, as in 0.005.
func parseSeconds(text string) (time.Duration, error) {
	s, err := strconv.ParseFloat(text, 64)
	if err != nil || !(s >= 0 && s < 1e6) {
		return 0, errMalformed
	}
	return time.Duration(s * float64(time.Second)), nil
}

// lookup returns what became of the lookup. What srcache says counts if it says something.
func (l *line) lookup(isStore func(addr string) bool) Lookup {
	switch l.Fetch {
	case "HIT":
		return Hit
	case "MISS":
		return Miss
	case "BYPASS":
		return Skipped
	}
	addr, status := firstUse(l.Addr), firstUse(l.Upstream)
	switch {
	case addr == "" || isStore == nil || !isStore(addr):
		return Skipped
	case status == "200":
		return Hit
	case status == "404":
		return Miss
	}
	return Failed
}

// firstUse returns the last attempt of the first use of an upstream: in $upstream_addr and
// $upstream_status attempts are separated by commas, and uses by colons between spaces.
func firstUse(text string) string {
	text, _, _ = strings.Cut(text, " : ")
	if i := strings.LastIndex(text, ", "); i >= 0 {
		text = text[i+2:]
	}
	return text
}
