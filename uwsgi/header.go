package uwsgi

import (
	"slices"
	"strings"
)

// A Field is one header line.
type Field struct{ Name, Value string }

// A Header holds header lines in wire order. Names are kept as sent and compared
// without case. Lines are not merged.
type Header []Field

// Get returns the value of the first line of that name, or "" if there is none.
func (h Header) Get(name string) string {
	if i := h.index(name); i >= 0 {
		return h[i].Value
	}
	return ""
}

// Values returns the values of all lines of that name, in order.
func (h Header) Values(name string) []string {
	var values []string
	for _, f := range h {
		if equalName(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// Has reports whether there is a line of that name.
func (h Header) Has(name string) bool { return h.index(name) >= 0 }

// Clone returns a copy that shares nothing with h and has room for two more lines.
// The clone of nil is nil.
func (h Header) Clone() Header {
	if h == nil {
		return nil
	}
	return append(make(Header, 0, len(h)+2), h...)
}

// Add appends a line.
func (h *Header) Add(name, value string) { *h = append(*h, Field{name, value}) }

// Set sets the value of the first line of that name and removes the others, or
// appends a line if there is none. Set and Del work in place: keep a Clone if the old
// header is still needed.
func (h *Header) Set(name, value string) {
	i := h.index(name)
	if i < 0 {
		h.Add(name, value)
		return
	}
	(*h)[i].Value = value
	rest := (*h)[i+1:]
	rest.Del(name)
	*h = (*h)[:i+1+len(rest)]
}

// Del removes all lines of that name, in place.
func (h *Header) Del(name string) {
	*h = slices.DeleteFunc(*h, func(f Field) bool { return equalName(f.Name, name) })
}

func (h Header) index(name string) int {
	return slices.IndexFunc(h, func(f Field) bool { return equalName(f.Name, name) })
}

// equalName compares two names, one of which is ASCII, without case. The lengths are
// compared first: most names differ in it, and so do those that only Unicode treats
// as equal.
func equalName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
