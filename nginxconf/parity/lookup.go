package parity

import (
	"uwgate/nginxconf"
)

// A Lookup is one of nginx's, as a gateway sees it.
type Lookup struct{ *nginxconf.Lookup }

// lookupsOf wraps all.
func lookupsOf(all []*nginxconf.Lookup) (ls []Lookup) {
	for _, l := range all {
		ls = append(ls, Lookup{l})
	}
	return ls
}

// misses is where requests go for which there is nothing. There must be such a place.
func (l Lookup) misses() pass { return pass{l.Misses} }

// A pass is one of nginx's, as a gateway sees it.
type pass struct{ *nginxconf.Pass }

func passesOf(all []*nginxconf.Pass) (ps []pass) {
	for _, p := range all {
		ps = append(ps, pass{p})
	}
	return ps
}
