package nginxconf

import "strings"

// CutUnix cuts the prefix "unix:" of a UNIX socket's address. Like nginx, it ignores case.
func CutUnix(addr string) (path string, found bool) {
	const prefix = "unix:"
	if len(addr) < len(prefix) || !strings.EqualFold(addr[:len(prefix)], prefix) {
		return addr, false
	}
	return addr[len(prefix):], true
}

// CutScheme splits an address of uwsgi_pass. The scheme may be empty.
func CutScheme(name string) (scheme, address string) {
	for _, scheme := range []string{"uwsgi://", "suwsgi://"} {
		if len(name) >= len(scheme) && strings.EqualFold(name[:len(scheme)], scheme) {
			return name[:len(scheme)], name[len(scheme):]
		}
	}
	return "", name
}
