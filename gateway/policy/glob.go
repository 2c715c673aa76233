package policy

// matchesAny reports whether one of the globs matches, ignoring ASCII case.
func matchesAny(globs []string, name string) bool {
	for _, glob := range globs {
		if matches(glob, name) {
			return true
		}
	}
	return false
}

// matches ignores ASCII case; a * in glob matches any bytes.
func matches(glob, name string) bool {
	return glob == name || matchesGlob(glob, name, true)
}

// matchesExactly is matches with case.
func matchesExactly(glob, s string) bool {
	return matchesGlob(glob, s, false)
}

// matchesGlob goes back only to the last star: what an earlier star could match
// instead, the last one can match, too. So a client's long path costs at most its
// length times that of the glob.
func matchesGlob(glob, s string, fold bool) bool {
	if last := len(glob) - 1; last >= 0 && glob[last] != '*' && (s == "" || !sameByte(glob[last], s[len(s)-1], fold)) {
		return false // as most, and soonest seen there
	}
	g, star, from := 0, -1, 0 // star: the last one met; from: what follows it begins here
	for i := 0; i < len(s); {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, from = g, i
			g++
		case g < len(glob) && sameByte(glob[g], s[i], fold):
			g++
			i++
		case star >= 0:
			from++
			g, i = star+1, from
		default:
			return false
		}
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}

func sameByte(a, b byte, fold bool) bool { return a == b || fold && lower(a) == lower(b) }

// equalFold ignores the case of ASCII letters only, like nginx; strings.EqualFold
// would accept the Kelvin sign for a k.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
