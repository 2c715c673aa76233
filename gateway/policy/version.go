package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// A Version is a version of nginx. Zero means unknown.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads a version such as "1.22.1"; "" is unknown.
func ParseVersion(s string) (Version, error) {
	if s == "" {
		return Version{}, nil
	}
	var n [3]int
	parts := strings.Split(s, ".")
	if len(parts) != len(n) {
		return Version{}, fmt.Errorf("policy: nginx version %q is not of the form 1.22.1", s)
	}
	for i, part := range parts {
		number, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return Version{}, fmt.Errorf("policy: nginx version %q is not of the form 1.22.1", s)
		}
		n[i] = int(number)
	}
	return Version{n[0], n[1], n[2]}, nil
}

func (v Version) isKnown() bool { return v != Version{} }

// since reports whether v is known to be w or later.
func (v Version) since(w Version) bool {
	if v.Major != w.Major {
		return v.Major > w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor > w.Minor
	}
	return v.Patch >= w.Patch && v.isKnown()
}
