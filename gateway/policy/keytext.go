package policy

import "strings"

// saidByText decides about a handed-over key that no template renders, by its
// text.
func (q *request) saidByText(u *target) Reason {
	key := q.key
	if hasURI(u.uri) && strings.HasSuffix(key, u.uri) && endsPrefix(key[:len(key)-len(u.uri)]) {
		switch {
		case q.p.Keys.AllowRewrites, u.fits && u.same:
			return ""
		case !u.fits:
			return Rewritten
		}
		return Arguments
	}
	start := uriStart(key)
	switch {
	case start >= 0 && u.fits && u.same && isBounded(key[start:], u.uri):
		return ""
	case start < 0: // a hash, or the value of a map: nginx's word is all there is
		q.opaque = true
		switch {
		case !u.fits:
			return Rewritten
		case q.p.Keys.OpaqueKey, u.same && u.query == "":
			return ""
		}
		return Arguments
	}
	return u.saidByURI(key[start:])
}

// saidByURI decides by the URI part of a key.
func (u *target) saidByURI(part string) Reason {
	path, query, _ := strings.Cut(part, "?")
	isPath := u.hasPath && strings.HasPrefix(part, u.path) && strings.IndexByte(u.path, '?') < 0
	switch {
	case isPath && u.query == query && path == u.path:
		return ""
	case u.fits && u.query == "" && part == u.rawPath:
		return ""
	case isPath && u.fits && u.same && isBounded(part, withQuery(u.path, u.query)):
		return ""
	case path == u.path && isPath, path == u.rawPath && u.fits:
		return Arguments
	case u.fits && beginsWithPath(part, u.path), u.fits && beginsWithPath(part, u.rawPath):
		return Arguments
	}
	return Rewritten
}

// beginsWithPath reports whether the URI part of a key begins with a path and
// continues with something that is not a path.
func beginsWithPath(part, path string) bool {
	return path != "" && len(part) > len(path) && strings.HasPrefix(part, path) && isTail(part[len(path)])
}

func withQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// hasURI reports whether uri can be a request target.
func hasURI(uri string) bool { return uri != "" && (uri[0] == '/' || uri[0] == '?') }

// uriStart returns the offset of the URI part in a key, after scheme and host or
// another prefix; -1 if there is none.
func uriStart(key string) int {
	i := pathStart(key, 0)
	if i > 0 && key[i-1] == ':' && strings.HasPrefix(key[i:], "//") {
		return pathStart(key, i+2)
	}
	return i
}

// pathStart returns the offset of the first slash or question mark from the i-th
// byte on, -1 if there is none.
func pathStart(key string, i int) int {
	for ; i < len(key); i++ {
		if key[i] == '/' || key[i] == '?' {
			return i
		}
	}
	return -1
}

// endsPrefix reports whether a URI can begin after prefix: the prefix must not be
// part of the path.
func endsPrefix(prefix string) bool {
	if prefix == "" {
		return true
	}
	if uriStart(prefix) < 0 {
		return true
	}
	last := prefix[len(prefix)-1]
	return (last == ':' || last == '|') && strings.IndexByte(prefix, '?') < 0
}

// isBounded reports whether part is the URI, or begins with it and continues after
// a separator that the URI does not contain. Then no other URI has the same
// beginning.
func isBounded(part, uri string) bool {
	if !hasURI(uri) || !strings.HasPrefix(part, uri) {
		return false
	}
	return len(part) == len(uri) || isTail(part[len(uri)]) && strings.IndexByte(uri, part[len(uri)]) < 0
}

// isTail reports whether a byte separates a URI from what follows it in a key.
// Such bytes are rare in URIs.
func isTail(c byte) bool { return strings.IndexByte("|#@;, ", c) >= 0 }
