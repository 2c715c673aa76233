package purge

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// An Access says who may send PURGE requests. The zero value permits nobody.
type Access struct {
	// Networks are those of the clients that may purge. The address of a client is the one
	// that nginx reports (REMOTE_ADDR), whatever the client says in a header.
	Networks []netip.Prefix

	// Token permits the clients that send it, from whatever address. Empty: none does.
	Token string
}

// IsOn reports whether anybody may purge.
func (a *Access) IsOn() bool { return len(a.Networks) > 0 || a.Token != "" }

// Permits reports whether a client may purge.
func (a *Access) Permits(c Caller) bool { return a.isNear(c) || a.knowsToken(c) }

func (a *Access) isNear(c Caller) bool {
	for _, text := range c.addrs {
		addr, err := netip.ParseAddr(text)
		if err != nil || !contains(a.Networks, addr.Unmap().WithZone("")) {
			return false
		}
	}
	return len(c.addrs) > 0
}

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// knowsToken compares hashes, so that the time tells nothing, not even the length.
func (a *Access) knowsToken(c Caller) bool {
	if a.Token == "" {
		return false
	}
	want, same := sha256.Sum256([]byte(a.Token)), 0
	for _, token := range c.tokens {
		got := sha256.Sum256([]byte(token))
		same |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return same == 1
}

// varToken is the header field with the token.
const varToken = "HTTP_X_PURGE_TOKEN"

// Conceal returns the vars of a request without X-Purge-Token: no worker and no log may see
// it, whatever the method. Without anybody who may purge, the field is the application's. It
// does not change v.
func (a *Access) Conceal(v uwsgi.Vars) uwsgi.Vars {
	if !a.IsOn() || v.Count(varToken) == 0 {
		return v
	}
	return without(v, varToken)
}

func without(v uwsgi.Vars, names ...string) uwsgi.Vars {
	return slices.DeleteFunc(slices.Clone(v), func(x uwsgi.Var) bool { return slices.Contains(names, x.Name) })
}

// A Caller is who sends a PURGE request.
type Caller struct {
	addrs  []string // all values of REMOTE_ADDR: each must be permitted
	tokens []string
}

// CallerOf returns who has sent a request. v are the vars as received from nginx.
func CallerOf(v uwsgi.Vars) (c Caller) {
	for _, x := range v {
		switch x.Name {
		case "REMOTE_ADDR":
			c.addrs = append(c.addrs, x.Value)
		case varToken:
			c.tokens = append(c.tokens, x.Value)
		case "HTTP_AUTHORIZATION":
			if scheme, token, ok := strings.Cut(x.Value, " "); ok && strings.EqualFold(scheme, "Bearer") {
				c.tokens = append(c.tokens, strings.TrimSpace(token))
			}
		}
	}
	return c
}

// String returns the address that nginx reports, for the log.
func (c Caller) String() string {
	if len(c.addrs) == 0 {
		return ""
	}
	return c.addrs[len(c.addrs)-1]
}
