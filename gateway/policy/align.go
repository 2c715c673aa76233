package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// Align returns the header of a page that is being stored as it will be on hits,
// as far as uwgate can change it. nginx evaluates no conditional request on a hit,
// so Align removes validators and Expires, and leaves one Vary line that names
// Accept-Encoding once. It does not change h.
func Align(h uwsgi.Header) uwsgi.Header {
	aligned := make(uwsgi.Header, 0, len(h)+1)
	at := -1
	var vary []string
	for _, f := range h {
		switch {
		case equalFold(f.Name, "Last-Modified"), equalFold(f.Name, "Expires"), equalFold(f.Name, "ETag"):
			continue
		case equalFold(f.Name, "Vary"):
			vary = appendVary(vary, f.Value)
			if at >= 0 {
				continue
			}
			at = len(aligned)
		}
		aligned = append(aligned, f)
	}
	vary = appendVary(vary, "Accept-Encoding")
	line := uwsgi.Field{Name: "Vary", Value: strings.Join(vary, ", ")}
	if at < 0 {
		return append(aligned, line)
	}
	aligned[at] = line
	return aligned
}

// appendVary adds the names of a Vary field that are not in names yet.
func appendVary(names []string, value string) []string {
next:
	for name := range strings.SplitSeq(value, ",") {
		name = strings.Trim(name, " \t")
		if name == "" {
			continue
		}
		for _, known := range names {
			if equalFold(known, name) {
				continue next
			}
		}
		names = append(names, name)
	}
	return names
}
