package policy

import "strings"

// lacksHost reports whether the application sees a host that the key does not
// contain. The application must see the host as nginx normalizes it, alone or with
// the port on which nginx listens; otherwise the key must contain what the
// application sees. foreignHost has checked the hosts in the key.
func (q *request) lacksHost(s *seenURL) (at string, found bool) {
	shown, host := s.shownHost, s.nginxHost
	if !isHostText(shown) || shown != host && !isHostPort(shown, host, s.port) && !q.isShownInKey(s, shown) {
		return shown, true
	}
	said := len(q.p.Keys.AllowedHosts) > 0 && (!q.rendered || q.p.Keys.hasOneHost()) || q.saysHost(s, host)
	return "", !said
}

// hasOneHost reports whether all pages belong to one host, so that the key need
// not contain it.
func (k *Keys) hasOneHost() bool {
	return len(k.AllowedHosts) == 1 && strings.IndexByte(k.AllowedHosts[0], '*') < 0
}

// isHostPort reports whether shown is host:port.
func isHostPort(shown, host, port string) bool {
	return port != "" && len(shown) == len(host)+1+len(port) && strings.HasPrefix(shown, host) &&
		shown[len(host)] == ':' && shown[len(host)+1:] == port
}

// isHostText rejects bytes that could end a host in a key, or in the links of a
// page.
func isHostText(s string) bool {
	for i := range len(s) {
		if !hostBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

var hostBytes = func() (is [256]bool) {
	for c := range is {
		is[c] = isNameByte(byte(c)) || c >= 0x80 || strings.IndexByte("-.:[]", byte(c)) >= 0
	}
	return is
}()

// isShownInKey reports whether the key contains the Host header as the client sent
// it.
func (q *request) isShownInKey(s *seenURL, shown string) bool {
	if q.rendered {
		return q.p.Keys.Template.says.httpHost
	}
	return endsInHost(s.aroundURI(q.key).before, shown)
}

// saysHost reports whether the key contains the host.
func (q *request) saysHost(s *seenURL, host string) bool {
	if q.rendered {
		return q.p.Keys.Template.says.host || q.p.Keys.Template.hasLiteralHost(host)
	}
	k := s.aroundURI(q.key)
	return endsInHost(k.before, host) || hasHost(k.before, host) || hasHost(k.after, host)
}

// endsInHost reports whether the text before the URI in a key ends in the host,
// and not in a longer one.
func endsInHost(before, host string) bool {
	prefix, found := strings.CutSuffix(before, host)
	if !found || prefix == "" {
		return found
	}
	last := prefix[len(prefix)-1]
	return !isNameByte(last) && last < 0x80 && strings.IndexByte("-.[]", last) < 0
}

// hasHost reports whether a part of a key contains the host as a word.
func hasHost(part, host string) bool {
	for named := range hostsIn(part) {
		if equalFold(named, host) {
			return true
		}
	}
	return false
}
