package uwsgi

import (
	"hash/maphash"
	"math/bits"
	"strings"
)

// A Var is one entry of the block. Name and Value are bytes as sent: PATH_INFO may
// have CR and LF, header values any byte.
type Var struct{ Name, Value string }

// Vars are the entries of a block in wire order, with repeats. Names are compared
// byte for byte.
type Vars []Var

// Get returns the last value of that name, or "" if there is none. uWSGI and gunicorn
// use the last one.
func (v Vars) Get(name string) string {
	value, _ := v.Lookup(name)
	return value
}

// Lookup is Get; ok is false if there is no var of that name.
func (v Vars) Lookup(name string) (value string, ok bool) {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].Name == name {
			return v[i].Value, true
		}
	}
	return "", false
}

// First returns the first value of that name. nginx before 1.23 uses it for
// $http_name if a header repeats.
func (v Vars) First(name string) (value string, ok bool) {
	for i := range v {
		if v[i].Name == name {
			return v[i].Value, true
		}
	}
	return "", false
}

// Count returns the number of vars of that name.
func (v Vars) Count(name string) int {
	n := 0
	for i := range v {
		if v[i].Name == name {
			n++
		}
	}
	return n
}

// Set returns the vars with x at the end in place of all vars of its name. It may
// change v, as append does.
func (v Vars) Set(x Var) Vars {
	kept := v[:0]
	for _, have := range v {
		if have.Name != x.Name {
			kept = append(kept, have)
		}
	}
	return append(kept, x)
}

// Agreed reports whether all vars of that name have the same value. It is true if
// there are none.
func (v Vars) Agreed(name string) bool {
	first := -1
	for i := range v {
		switch {
		case v[i].Name != name:
		case first < 0:
			first = i
		case v[i].Value != v[first].Value:
			return false
		}
	}
	return true
}

// Repeated returns the name of a var that occurs with different values. If it is a
// header, nginx before 1.23 puts the first one into a key, and later versions join
// them. If it is another var, only nginx's configuration says which one its own
// variable equals. The worker uses the last one.
func (v Vars) Repeated() (name string, ok bool) {
	return v.repeat(func(first, again *Var) bool { return first.Value != again.Value })
}

// Merge returns the vars with every name at most once, at the place of its first
// occurrence. Without repeats it returns v itself, not a copy; it never changes v. A
// name with equal values keeps the value. Different values of one name
//
//   - are an error for CONTENT_LENGTH, unless the last value is empty and the others agree:
//     if readers disagree about where a request ends, requests can be smuggled;
//   - are joined with "; " for HTTP_COOKIE, in wire order, without empty ones;
//   - are replaced by the last one for a var without the prefix HTTP_, and for a header that
//     RFC 9110 or its own specification allows once (see singleton). The worker would use
//     the last one, too. nginx sends two if its configuration includes uwsgi_params and then
//     overrides a line of it;
//   - are joined with ", " for all other HTTP_ vars, as nginx does since 1.23: the lists of
//     RFC 9110, HTTP_X_FORWARDED_FOR, unknown headers.
//
// The error is a *FormatError with the code DuplicateVar.
func (v Vars) Merge() (Vars, error) {
	if _, found := v.repeat(func(_, _ *Var) bool { return true }); !found {
		return v, nil
	}
	values := make(map[string][]string, len(v))
	for _, x := range v {
		values[x.Name] = append(values[x.Name], x.Value)
	}
	merged := make(Vars, 0, len(values))
	for _, x := range v {
		all, pending := values[x.Name]
		if !pending {
			continue
		}
		delete(values, x.Name)
		value, err := mergeValues(x.Name, all)
		if err != nil {
			return nil, err
		}
		merged = append(merged, Var{x.Name, value})
	}
	return merged, nil
}

func mergeValues(name string, values []string) (string, error) {
	if same(values) {
		return values[0], nil
	}
	switch {
	case name == "CONTENT_LENGTH" && !takenBack(values):
		return "", &FormatError{Code: DuplicateVar, What: name + " is given more than once, with different values", Offset: -1}
	case name == "HTTP_COOKIE":
		return joinFilled(values, "; "), nil
	case singleton(name):
		return values[len(values)-1], nil
	}
	return joinFilled(values, ", "), nil
}

func same(values []string) bool {
	for _, s := range values[1:] {
		if s != values[0] {
			return false
		}
	}
	return true
}

// takenBack reports whether the last value is empty and the others agree. nginx sends
// this where its configuration says `uwsgi_param CONTENT_LENGTH "";` below
// uwsgi_params, since it sends no body.
func takenBack(values []string) bool {
	last := len(values) - 1
	return values[last] == "" && same(values[:last])
}

// joinFilled joins the values that are not empty: an empty list element has no
// meaning (RFC 9110 §5.6.1).
func joinFilled(values []string, sep string) string {
	var filled []string
	for _, s := range values {
		if s != "" {
			filled = append(filled, s)
		}
	}
	return strings.Join(filled, sep)
}

// singleton reports whether a var has at most one value: every CGI meta-variable, and
// the request headers that are not lists.
func singleton(name string) bool {
	header, ok := strings.CutPrefix(name, "HTTP_")
	if !ok {
		return true
	}
	switch header {
	case "HOST", "AUTHORIZATION", "PROXY_AUTHORIZATION", "USER_AGENT", "REFERER", "FROM", "ORIGIN", "DATE", "MAX_FORWARDS", // RFC 9110, RFC 6454
		"CONTENT_TYPE", "CONTENT_LENGTH", "CONTENT_RANGE", "CONTENT_LOCATION",
		"IF_MODIFIED_SINCE", "IF_UNMODIFIED_SINCE", "IF_RANGE", "RANGE",
		"ACCESS_CONTROL_REQUEST_METHOD", "UPGRADE_INSECURE_REQUESTS", "LAST_EVENT_ID", "DNT", // Fetch, HTML
		"SEC_FETCH_DEST", "SEC_FETCH_MODE", "SEC_FETCH_SITE", "SEC_FETCH_USER",
		"SEC_WEBSOCKET_KEY", "SEC_WEBSOCKET_VERSION", // RFC 6455
		"DEPTH", "DESTINATION", "OVERWRITE": // RFC 4918
		return true
	}
	return false
}

var nameSeed = maphash.MakeSeed()

// few is more than the usual number of vars of a request.
const few = 64

// repeat returns the first name that occurred before such that counts agrees. It runs
// for every request. So it uses an open-addressed table on the stack, which is large
// enough for the 20 to 40 vars that nginx sends.
func (v Vars) repeat(counts func(first, again *Var) bool) (name string, found bool) {
	var small [2 * few]uint16
	table := small[:] // indices of v, plus 1; 0: free
	if len(v) > few {
		table = make([]uint16, 1<<bits.Len(uint(2*len(v))))
	}
	for i := range v {
		slot := v.slot(table, v[i].Name)
		if table[slot] == 0 {
			table[slot] = uint16(i + 1)
			continue
		}
		if counts(&v[table[slot]-1], &v[i]) {
			return v[i].Name, true
		}
	}
	return "", false
}

// slot returns the slot of the name in the table, or the free slot for it. The size
// of the table is a power of two, and it always has a free slot.
func (v Vars) slot(table []uint16, name string) uint64 {
	mask := uint64(len(table) - 1)
	var slot uint64
	if len(v) <= few {
		slot = hash(name) & mask
	} else {
		slot = maphash.String(nameSeed, name) & mask
	}
	for table[slot] != 0 && v[table[slot]-1].Name != name {
		slot = (slot + 1) & mask
	}
	return slot
}

// hash is for few names. If a client makes their hashes collide, all comparisons take
// microseconds. For more names slot uses a seeded hash, which a client cannot
// predict.
func hash(name string) uint64 {
	n := len(name)
	if n < 2 {
		return 0
	}
	const golden = 0x9e3779b97f4a7c15 // 2^64 over the golden ratio: spreads what differs into the high bits
	return (uint64(n)<<24 | uint64(name[n/2])<<16 | uint64(name[n-2])<<8 | uint64(name[n-1])) * golden >> 56
}
