package policy

import (
	"iter"
	"net/netip"
	"strings"

	"uwgate/uwsgi"
)

// LacksHost reports whether no page can be stored under the keys of Template: they
// do not contain the host, and AllowedHosts is not exactly one host.
func (k *Keys) LacksHost() bool {
	return k.Template != nil && !k.Template.says.host && !k.Template.namesHost() && !k.hasOneHost()
}

// HostOf returns nginx's $host of a request, as far as the vars show it: in lower
// case, without port and trailing dot.
func HostOf(v uwsgi.Vars) string { return requestHost(v) }

// requestHost is HostOf: see renderHost.
func requestHost(v uwsgi.Vars) string {
	if host := normalizeHost(v.Get("HTTP_HOST")); host != "" {
		return host
	}
	return normalizeHost(v.Get("SERVER_NAME"))
}

// foreignHost returns the host at fault if the page may belong to a host that is
// not in AllowedHosts, or to another host than the key names.
//
// The latter happens if a client sends `GET http://a/` with `Host: b`: nginx makes
// the key for a, and the worker the page for b. A key that the template renders
// has its host from the same var as the page.
func (q *request) foreignHost() (at string, found bool) {
	host := q.nginxHost
	if len(q.p.Keys.AllowedHosts) > 0 && !matchesAny(q.p.Keys.AllowedHosts, host) {
		return host, true
	}
	key := q.handover.key.value
	if key == "" {
		return "", false
	}
	k := q.aroundURI(key)
	if endsInHost(k.before, host) { // as in most keys
		return "", false
	}
	named := k.hostBut(host)
	return named, named != "" && !q.p.Keys.isRendered(q.v, key)
}

// surroundings are the texts before and after the request's URI in a key.
type surroundings struct{ key, before, after string }

// aroundURI finds the URI in a key: the raw one, or the decoded path with or
// without its query. It takes the last occurrence, which cannot be before the true
// one. The URI begins with a slash, so it cannot contain a host; a query alone
// could.
func (s *seenURL) aroundURI(key string) *surroundings {
	k := &s.around
	if k.key == key {
		return k
	}
	k.key = key
	found := false
	if k.before, k.after, found = cutLast(key, s.uri); found {
		return k
	}
	if k.before, k.after, found = cutLast(key, s.path+"?"+s.query); !found {
		k.before, k.after, _ = cutLast(key, s.path)
	}
	return k
}

// hostBut returns another host in the surroundings if they do not contain host,
// else "".
func (k *surroundings) hostBut(host string) (other string) {
	for _, part := range []string{k.before, k.after} {
		for named := range hostsIn(part) {
			if equalFold(named, host) {
				return ""
			}
			other = named
		}
	}
	return other
}

// cutLast cuts a key around the last occurrence of a possible URI.
func cutLast(key, uri string) (before, after string, found bool) {
	if uri == "" || uri[0] != '/' && uri[0] != '?' {
		return key, "", false
	}
	if before, found = strings.CutSuffix(key, uri); found { // as most keys end
		return before, "", true
	}
	if i := strings.LastIndex(key, uri); i >= 0 {
		return key[:i], key[i+len(uri):], true
	}
	return key, "", false
}

// hostsIn yields the words of s that can only be hosts: names of at least two
// labels with an alphabetic last one, localhost, IP addresses, and whatever
// follows "://".
func hostsIn(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 0; i < len(s); {
			n := hostLen(s[i:])
			word := strings.Trim(s[i:i+n], ".")
			if word != "" && (isHost(word) || strings.HasSuffix(s[:i], "://")) && !yield(word) {
				return
			}
			i += max(n, 1)
		}
	}
}

// hostLen returns how many bytes at the start of s can belong to one host.
func hostLen(s string) int {
	if s[0] == '[' {
		if end := strings.IndexByte(s, ']') + 1; end > 0 && isHost(s[:end]) {
			return end
		}
		return 0
	}
	n := 0
	for n < len(s) && (isNameByte(s[n]) || s[n] == '-' || s[n] == '.' || s[n] >= 0x80) {
		n++
	}
	return n
}

func isHost(word string) bool {
	if word[0] == '[' {
		addr, err := netip.ParseAddr(strings.Trim(word, "[]"))
		return err == nil && addr.Is6()
	}
	if isIPv4(word) || equalFold(word, "localhost") {
		return true
	}
	i := strings.LastIndexByte(word, '.')
	return i > 0 && !strings.Contains(word, "..") && isTopLabel(word[i+1:])
}

// isIPv4 parses only what ends in a digit, so that names cause no parser errors.
func isIPv4(word string) bool {
	if !isDigit(word[len(word)-1]) {
		return false
	}
	addr, err := netip.ParseAddr(word)
	return err == nil && addr.Is4()
}

// isTopLabel distinguishes com and xn--p1ai from the 2 of v1.2.
func isTopLabel(label string) bool {
	if len(label) > 4 && equalFold(label[:4], "xn--") {
		return true
	}
	for i := range len(label) {
		if c := lower(label[i]); (c < 'a' || c > 'z') && c < 0x80 {
			return false
		}
	}
	return label != ""
}
