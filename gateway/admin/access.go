package admin

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Permits reports whether a request may use the API: it came over a UNIX socket with a file,
// or it carries the token.
//
// A browser reaches such a socket through a tunnel, as of `ssh -L`, and any website can make
// a browser send requests there. So a request over a socket has to name this machine or
// something that is no domain as its host: what a website can let resolve to the tunnel is
// refused (DNS rebinding). [ForbidOtherSites] refuses the rest.
func (a *Admin) Permits(r *http.Request) bool {
	return OverFile(r) && !isDomain(r.Host) || bears(r, a.Token)
}

// ForbidOtherSites refuses what a browser sends on behalf of another site, if it could change
// something, with 403. Programs other than browsers send neither Sec-Fetch-Site nor Origin,
// and are not affected.
func ForbidOtherSites(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(next)
}

// OverFile reports whether a request came over a UNIX socket with a file, whose mode says
// who may connect. An abstract socket, @name, has no file.
func OverFile(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && addr.Network() == "unix" && !strings.HasPrefix(addr.String(), "@")
}

// isDomain reports whether somebody could own the host in DNS: it has a dot, and is no
// address.
func isDomain(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	return strings.Contains(strings.TrimSuffix(host, "."), ".") && !strings.HasSuffix(host, ".localhost")
}

// bears reports whether a request carries the token, which is not empty.
func bears(r *http.Request, token string) bool {
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && IsToken(got, token)
}

// IsToken reports whether got is the token. It takes as long if it is not; an empty token is
// nobody's.
func IsToken(got, token string) bool {
	return token != "" && subtle.ConstantTimeCompare([]byte(got), []byte(token)) == 1
}
