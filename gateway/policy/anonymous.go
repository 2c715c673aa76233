package policy

import (
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// What an anonymous request says of who asks.
const (
	anonymousAgent = "uwgate-refresh"

	// An address for documentation (RFC 5737). Applications trust 127.0.0.1:
	// Django's INTERNAL_IPS is where its debug pages may be seen from.
	anonymousAddr = "192.0.2.1"
	anonymousPort = "0"
)

// Anonymous returns the vars of a request for the same page by nobody in
// particular, to fetch the page once more: v are the vars of a request as
// received, plan is theirs. They share no memory with v, and are to pass Request,
// Firewall.Screen and ForWorker as those of any request. Request plans them for
// the same key at the same server.
//
// Kept are the headers that the key contains, those that a proxy in front says of the
// site, and those of TrustedHeaders; all others are left out. What names a visitor or a
// client is never kept. Vars that are no headers are kept if they are neutral.
//
// It returns nil for a page that cannot be asked for in this way, so that only
// visitors renew it. That is one
//
//   - which is not to be stored;
//   - whose key was handed over and is not what Template renders: nginx may have
//     made it of anything, the kind of browser for instance, and the page that
//     nobody gets would not be the one that belongs there;
//   - whose key contains a cookie, or anything else that is left out;
//   - for which nginx sends an unknown var: what the worker makes of it for nobody in
//     particular is not known;
//   - which may depend on a Forwarded that does not repeat what nginx says: even a
//     proxy's cannot be kept, for it names the client.
func (p *Policy) Anonymous(v uwsgi.Vars, plan Plan) uwsgi.Vars {
	if plan.Reason != "" || plan.Alone || plan.oddVars || !p.Keys.isRendered(v, v.Get(varKey)) || p.isUnsettled(v) {
		return nil
	}
	if plan.Bypass {
		// What was handed over belongs to the URL with the secret.
		v = slices.DeleteFunc(p.Bypass.strip(v), func(x uwsgi.Var) bool { return x.Name == varKey || x.Name == varServer })
	}
	out := p.withoutVisitor(v)
	again := p.Request(out)
	if again.Reason != "" || again.Key != plan.Key || !p.Keys.isRendered(out, again.Key) {
		return nil
	}
	return compact(out)
}

// isUnsettled finds a Forwarded without which the page may be another. It is not kept.
func (p *Policy) isUnsettled(v uwsgi.Vars) bool {
	return slices.ContainsFunc(v, func(x uwsgi.Var) bool {
		return x.Name == "HTTP_FORWARDED" && !repeatsForwarded(p, v, x.Value)
	})
}

// withoutVisitor returns a copy of v without what tells who asked. The key is one
// that Template renders.
func (p *Policy) withoutVisitor(v uwsgi.Vars) uwsgi.Vars {
	out := make(uwsgi.Vars, 0, len(v)+1)
	for _, x := range v {
		switch {
		case strings.HasPrefix(x.Name, "HTTP_"):
			if !p.isOfSite(x.Name) {
				continue
			}
		case x.Name == "CONTENT_LENGTH", x.Name == "CONTENT_TYPE":
			x.Value = ""
		case x.Name == "REMOTE_ADDR":
			x.Value = anonymousAddr
		case x.Name == "REMOTE_PORT":
			x.Value = anonymousPort
		case isHandover(x.Name):
		case p.isOfVisitor(x.Name):
			continue
		}
		out = append(out, x)
	}
	if out.Count("HTTP_USER_AGENT") == 0 {
		out = append(out, uwsgi.Var{Name: "HTTP_USER_AGENT", Value: anonymousAgent})
	}
	return out
}

// isOfSite reports whether a header's var says the same whoever asks. Unkeyed ones do,
// for a request that is a candidate: they repeat what nginx says, or are the operator's
// word, or in the key. Firewall has the word on the scheme.
func (p *Policy) isOfSite(name string) bool {
	switch name {
	case "HTTP_HOST", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL":
		return true
	case "HTTP_COOKIE", "HTTP_FORWARDED": // the second names the client
		return false
	}
	class := unlisted
	if m := p.Visitors.orDefault().headers.of(strings.TrimPrefix(name, "HTTP_")); m != nil {
		class = m.trait
	}
	switch {
	case class == identity, class == seemsIdentity, class == credentials, isOfClient(name):
		return false
	case class == unkeyed, class == seemsUnkeyed:
		return true
	}
	return p.isTrusted(name) || p.Keys.Template.coversVar(name)
}

// isOfVisitor reports whether a var that is no header names who asks, or the client.
func (p *Policy) isOfVisitor(name string) bool {
	switch m := p.Visitors.orDefault().vars.of(name); {
	case isOfClient("HTTP_" + name), strings.HasPrefix(name, "REAL_"), strings.HasPrefix(name, "REALIP_"), strings.HasPrefix(name, "PROXY_PROTOCOL_"), name == "REMOTE_HOST":
		return true
	default:
		return m != nil && m.trait == identity
	}
}

// isOfClient knows the vars of clientHeaders.
func isOfClient(name string) bool { return ofClient[name] }

var ofClient = func() map[string]bool {
	names := map[string]bool{}
	for _, header := range clientHeaders {
		names["HTTP_"+upperSnake(header)] = true
	}
	return names
}()

// compact returns the vars in memory of their own: those of a request are parts of
// its whole packet, the cookies among it.
func compact(v uwsgi.Vars) uwsgi.Vars {
	var b strings.Builder
	for _, x := range v {
		b.WriteString(x.Name)
		b.WriteString(x.Value)
	}
	block := b.String()
	cut := func(n int) string {
		s := block[:n]
		block = block[n:]
		return s
	}
	own := make(uwsgi.Vars, len(v))
	for i, x := range v {
		own[i] = uwsgi.Var{Name: cut(len(x.Name)), Value: cut(len(x.Value))}
	}
	return own
}
