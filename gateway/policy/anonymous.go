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

// Anonymous returns the vars of a request for the same page without a visitor, to
// fetch the page again. v are the vars of a request as received, and plan is its
// plan. The result shares no memory with v. Treat it as a received request: pass
// it to Request, Firewall.Screen and ForWorker. Request returns the same key and
// server for it.
//
// Anonymous keeps the headers that the key contains, those of TrustedHeaders, and
// those with which a proxy describes the site. It removes all other headers, and
// whatever names a visitor or a client. It keeps neutral vars that are no headers.
//
// It returns nil for a page that only visitors can refresh:
//
//   - a page that must not be stored;
//   - a page whose key was handed over and is not what Template renders: nginx
//     may have made the key of anything, such as the kind of browser, and the
//     page for nobody may be another one;
//   - a page whose key contains a cookie, or anything else that Anonymous
//     removes;
//   - a page for which nginx sends an unknown var, because its effect without a
//     visitor is not known;
//   - a page that may depend on a Forwarded that differs from what nginx says:
//     Forwarded names the client, so it is removed.
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

// isUnsettled reports whether the page may depend on a Forwarded, which Anonymous
// removes.
func (p *Policy) isUnsettled(v uwsgi.Vars) bool {
	return slices.ContainsFunc(v, func(x uwsgi.Var) bool {
		return x.Name == "HTTP_FORWARDED" && !repeatsForwarded(p, v, x.Value)
	})
}

// withoutVisitor returns a copy of v without what names the visitor. Template must
// render the key.
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

// isOfSite reports whether a header's var is the same for all visitors. For a
// candidate, unkeyed headers are: they repeat what nginx says, or the operator
// trusts them, or the key contains them. Firewall sets the scheme.
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

// isOfVisitor reports whether a var that is no header names the visitor or the
// client.
func (p *Policy) isOfVisitor(name string) bool {
	switch m := p.Visitors.orDefault().vars.of(name); {
	case isOfClient("HTTP_" + name), strings.HasPrefix(name, "REAL_"), strings.HasPrefix(name, "REALIP_"), strings.HasPrefix(name, "PROXY_PROTOCOL_"), name == "REMOTE_HOST":
		return true
	default:
		return m != nil && m.trait == identity
	}
}

// isOfClient reports whether a var belongs to one of clientHeaders.
func isOfClient(name string) bool { return ofClient[name] }

var ofClient = func() map[string]bool {
	names := map[string]bool{}
	for _, header := range clientHeaders {
		names["HTTP_"+upperSnake(header)] = true
	}
	return names
}()

// compact copies the vars to memory of their own. Those of a request are parts of
// its whole packet, cookies included.
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
