package nginxconf

import "strings"

// upstreams are the upstream blocks, by their names in lower case.
type upstreams map[string]*directive

func newUpstreams(http *directive) upstreams {
	all := upstreams{}
	for _, d := range http.own("upstream") {
		if name := Lower(d.arg(0)); all[name] == nil {
			all[name] = d
		}
	}
	return all
}

// of returns where the pass directive leads.
func (u upstreams) of(pass *directive) Upstream {
	name := pass.arg(0)
	address := name
	if pass.name == "uwsgi_pass" {
		_, address = CutScheme(name)
	}
	if block := u[Lower(address)]; block != nil {
		return newUpstream(name, block)
	}
	up := Upstream{Place: pass.Place, Name: name, Implicit: true}
	if !strings.Contains(name, "$") {
		up.Servers = []UpstreamServer{{pass.Place, address}}
	}
	return up
}

func newUpstream(name string, block *directive) Upstream {
	up := Upstream{Place: block.Place, Name: name}
	for _, d := range block.block {
		switch d.name {
		case "server":
			up.Servers = append(up.Servers, UpstreamServer{d.Place, strings.Join(d.args, " ")})
		case "hash", "ip_hash", "least_conn", "least_time", "random", "sticky", "fair", "consistent_hash", "balancer_by_lua_block", "balancer_by_lua_file":
			// The last one counts; nginx only warns.
			up.Method, up.MethodAt, up.Hash, up.Ketama = d.name, d.Place, "", false
			if d.name == "hash" {
				up.Hash, up.Ketama = d.arg(0), d.arg(1) == "consistent"
			}
		}
	}
	return up
}
