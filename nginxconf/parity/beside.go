package parity

import (
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// beside checks the servers of the gateway's upstream that are not the gateway: requests that
// nginx sends there go around it.
func (k *checker) beside(p pass) {
	if !slices.ContainsFunc(p.Upstream.Servers, k.isGateway) || len(k.g.Listen) == 0 {
		return
	}
	for _, s := range p.Upstream.Servers {
		fields := strings.Fields(s.Text)
		isBackup, isWorker := slices.Contains(fields, "backup"), k.isWorker(fields[0])
		switch {
		case k.isGateway(s), slices.Contains(fields, "down"):
		case isBackup && (isWorker || len(k.g.Backends) == 0):
		case isBackup:
			k.warning(s.Place, missElsewhere, manual("the servers of --backend as backup servers", "only you know whether the same application is there"),
				"while uwgate takes no connections nginx asks %s, which is none of uwgate's --backend %s", fields[0], join(k.g.Backends))
		case isWorker:
			k.error(s.Place, missElsewhere, k.asBackup(p.Upstream, s),
				"nginx sends a part of the requests to the worker %s, and not to uwgate: uwgate does not see which pages they change, so memcached keeps old ones", fields[0])
		default:
			k.note(s.Place, missElsewhere, Fix{},
				"nginx sends a part of the requests to %s, which is not this uwgate: if it is no other uwgate of the site, memcached keeps pages that these requests change", fields[0])
		}
	}
}

// isGateway reports whether a server of an upstream may be the gateway.
func (k *checker) isGateway(s nginxconf.UpstreamServer) bool {
	return k.reaches(nginxconf.Upstream{Servers: []nginxconf.UpstreamServer{s}})
}

// isWorker reports whether an address is one of the gateway's backends.
func (k *checker) isWorker(address string) bool {
	return slices.ContainsFunc(k.g.Backends, func(own string) bool { return k.isListener(own, address) })
}

// asBackup leaves a server for the time when the gateway takes no connections. With most ways
// to choose a server nginx has no backup servers.
func (k *checker) asBackup(u nginxconf.Upstream, s nginxconf.UpstreamServer) Fix {
	if u.Method != "" && u.Method != "least_conn" {
		return remove(s.Place)
	}
	return replace(s.Place, "server "+s.Text+" backup;")
}
