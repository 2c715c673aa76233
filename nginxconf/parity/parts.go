package parity

import (
	"strings"

	"uwgate/nginxconf"
)

// withoutHTTPPart reports whether the http part of a printed site is not included. All else
// that would be found follows from that: its upstreams and maps are not there.
func (k *checker) withoutHTTPPart() (is bool) {
	for _, l := range lookupsOf(k.config.Lookups) {
		if l.Misses == nil || !l.Misses.Upstream.Implicit {
			continue
		}
		name := l.Misses.Upstream.Name
		site, isNamed := strings.CutPrefix(name, "uwgate_")
		if name != "uwgate" && !isNamed {
			continue
		}
		file, flag := "uwgate-http.conf", ""
		if isNamed {
			file, flag = site+"-http.conf", " --name "+site
		}
		is = true
		k.add(k.absent(), l.Misses.Place, httpPart, manual("include "+file+";   # in the http block; `uwgate nginx"+flag+" --part http` prints the file", "only you know where the file is"),
			"upstream %s is nowhere defined: the http part of the printed configuration is not included, and nginx does not start without it", name)
	}
	return is
}

// addressFix replaces the address of a server line by the gateway's. Only an upstream block
// that is for the gateway is changed: another one may be for the workers.
func (k *checker) addressFix(u nginxconf.Upstream) (f Fix, ok bool) {
	isGateways := u.Name == "uwgate" || strings.HasPrefix(u.Name, "uwgate_")
	address := k.gatewayAddress()
	if u.Implicit || !isGateways || len(u.Servers) == 0 || strings.Contains(address, "://") {
		return Fix{}, false
	}
	_, options, _ := strings.Cut(u.Servers[0].Text, " ")
	line := strings.TrimSpace("server "+address+" "+options) + ";"
	return replace(u.Servers[0].Place, line), true
}
