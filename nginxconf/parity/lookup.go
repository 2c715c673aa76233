package parity

import (
	"uwgate/nginxconf"
)

// A Lookup is a lookup of nginx with what matters to a gateway.
type Lookup struct{ *nginxconf.Lookup }

func lookupsOf(all []*nginxconf.Lookup) (ls []Lookup) {
	for _, l := range all {
		ls = append(ls, Lookup{l})
	}
	return ls
}

// misses returns where misses go. The lookup must have such a uwsgi_pass.
func (l Lookup) misses() pass { return pass{l.Misses} }

// A pass is a uwsgi_pass of nginx with what matters to a gateway.
type pass struct{ *nginxconf.Pass }

func passesOf(all []*nginxconf.Pass) (ps []pass) {
	for _, p := range all {
		ps = append(ps, pass{p})
	}
	return ps
}
