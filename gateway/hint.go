package gateway

import (
	"cmp"
	"strconv"
	"strings"
	"sync"

	"go.uber.org/zap"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// hints are what an operator can correct in nginx's configuration. Each is logged once in
// the life of a gateway.
type hints struct {
	noMethod, noKey, noStatus, server, unkeyed, host, rewritten, arguments, scheme, refresh, lock, repeat, modifiers, proto, partial sync.Once

	lost sync.Map // names of headers that have been logged; policy bounds them

	unknown unknownNames
}

// unknownNames are those of cookies, headers and vars that have been logged. Clients can
// make names up, so there is a bound.
type unknownNames struct {
	mu    sync.Mutex
	names map[string]bool // with their reasons
}

const (
	maxUnknownNames = 100
	maxUnknownName  = 64 // bytes
)

// hintUnknown logs the name of an unknown cookie, header or var that has kept a page
// out, once, and the flag to add. It never logs a value.
func (g *Gateway) hintUnknown(p *policy.Policy, v uwsgi.Vars, h uwsgi.Header, reason policy.Reason) {
	kind := ""
	switch reason {
	case policy.Cookie, policy.Vary:
		kind = "cookie"
	case policy.UnknownHeader:
		kind = "header"
	case policy.UnknownVar:
		kind = "var"
	default:
		return
	}
	name := p.AtFault(v, h, reason)
	if name == "" {
		return
	}
	if len(name) > maxUnknownName {
		name = name[:maxUnknownName] + "…"
	}
	switch n := g.hints.unknown.add(kind + " " + name); {
	case n == 0 || n > maxUnknownNames+1:
	case n > maxUnknownNames:
		g.log().Warn("more unknown cookies, headers and vars keep pages from being stored; uwgate logs no more of their names",
			zap.String("fix", "send Cache-Control: max-age=… with pages that do not depend on them; `uwgate explain` names the one of a request"))
	default:
		g.log().Warn("a page was not stored because of an unknown "+kind, zap.String("name", name),
			zap.String("fix", "if no page depends on it: --harmless-"+kind+" "+name))
	}
}

// add returns the number of the name, from 1, and 0 if it was there before.
func (u *unknownNames) add(name string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.names[name] || len(u.names) > maxUnknownNames {
		return 0
	}
	if u.names == nil {
		u.names = map[string]bool{}
	}
	u.names[strings.Clone(name)] = true
	return len(u.names)
}

// hint looks at a request that is not to be stored for a reason that lies in
// the configuration.
func (g *Gateway) hint(p *policy.Policy, plan policy.Plan, v uwsgi.Vars) {
	switch plan.Reason {
	case policy.NoMethod:
		g.hintOnce(&g.hints.noMethod, "nginx sent a request without REQUEST_METHOD; it is passed on, but never stored",
			"put `include uwsgi_params;` at server level, so that every block with a uwsgi_pass has it")
	case policy.NoKey:
		g.hintOnce(&g.hints.noKey, "a page has no key, and is not stored: "+plan.Note,
			"add `uwsgi_param CACHE_KEY $memcached_key if_not_empty;`, or start with --key and the template of your `set $memcached_key`")
	case policy.NotLookedUp:
		g.hintNotLookedUp(p, v)
	case policy.UnkeyedHeader:
		g.hintOnce(&g.hints.unkeyed, "a page was not stored: the request has a header that pages may depend on, and the key does not contain it",
			"if a proxy of yours sets it in every request (X-Forwarded-Port, X-Forwarded-Host), add --trusted-header NAME; `uwgate explain` says which header it is")
	case policy.DuplicateHeader:
		if name, found := v.Repeated(); found && !isClients(name) {
			g.hintOnce(&g.hints.repeat, "nginx sends "+name+" more than once, with different values; the worker gets the last one, and the page is not stored",
				"keep one uwsgi_param "+name+" in nginx's configuration (`include uwsgi_params;` counts), or give all of them the same value")
		}
	case policy.Host:
		g.hintOnce(&g.hints.host, "a page was not stored: the key does not contain the host that the application sees, or the host is no --allowed-host",
			"add `uwsgi_param HTTP_HOST $host;` and put $host into the key; if the site has one host, name it with --allowed-host")
	case policy.Rewritten:
		g.hintOnce(&g.hints.rewritten, "a page was not stored: the application sees another path than the key says, after a rewrite, an internal redirect (error_page, index, try_files) or in a subrequest (SSI, auth_request, mirror)",
			"if only rewrites do that, and nothing makes subrequests: --allow-rewrites, with $request_uri in the key; else add `uwsgi_param CACHE_KEY $memcached_key if_not_empty;` and put $uri$is_args$args into the key")
	case policy.Arguments:
		g.hintOnce(&g.hints.arguments, "a page was not stored: the key does not contain the arguments that the application sees",
			"put $request_uri, or $uri$is_args$args, into the key; if the key is a hash of the URL: --opaque-key; `uwgate nginx --ignore-arg NAME` prints a configuration that removes an argument from the key and from what the application sees")
	case policy.Scheme:
		g.hintOnce(&g.hints.scheme, "a page was not stored: the application sees another scheme than the key says",
			"put $http_x_forwarded_proto, or a map of it, into the key in place of $scheme; or start without --trust-forwarded-proto")
	}
}

// hintModifiers looks at what nginx put into the header of a request, beside what the
// worker gets.
func (g *Gateway) hintModifiers(sent, given [2]uint8) {
	if sent == given || sent == [2]uint8{} {
		return
	}
	number := func(n uint8) string { return strconv.Itoa(int(n)) }
	g.hintOnce(&g.hints.modifiers, "uwsgi_modifier1 "+number(sent[0])+" and uwsgi_modifier2 "+number(sent[1])+" in nginx's configuration have no effect: the workers get "+
		number(given[0])+" and "+number(given[1]),
		"if they need nginx's, start with --modifier1 "+number(sent[0])+" --modifier2 "+number(sent[1])+", or add modifier1=N to a --backend; else remove uwsgi_modifier1 from nginx's configuration")
}

// hintProto looks at what the firewall has dropped of a proxy in front of nginx that
// terminates TLS.
func (g *Gateway) hintProto(v uwsgi.Vars) {
	said, own := saidScheme(v), v.Get("REQUEST_SCHEME")
	if own == "" && isOn(v.Get("HTTPS")) {
		own = "https"
	}
	if g.firewall().TrustForwardedProto || said == "" || strings.EqualFold(said, own) {
		return
	}
	gets := "nginx's, " + strconv.Quote(own)
	if own == "" {
		gets = "none, since nginx sends no REQUEST_SCHEME (include uwsgi_params;)"
	}
	g.hintOnce(&g.hints.proto, "a request's X-Forwarded-Proto or X-Forwarded-Ssl differs from nginx's scheme, and is dropped; the application gets "+gets,
		"if a proxy in front of nginx terminates TLS and sets or removes that header in every request, start with --trust-forwarded-proto; else the client made it up, and there is nothing to do")
}

// saidScheme returns the scheme that a header says; "" if none does.
func saidScheme(v uwsgi.Vars) string {
	if said := v.Get("HTTP_X_FORWARDED_PROTO"); said != "" {
		return said
	}
	if isOn(v.Get("HTTP_X_FORWARDED_SSL")) {
		return "https"
	}
	return ""
}

func isOn(value string) bool { return strings.EqualFold(value, "on") }

// isClients reports whether a var is a header that a client may repeat. nginx refuses
// a second Host.
func isClients(name string) bool { return strings.HasPrefix(name, "HTTP_") && name != "HTTP_HOST" }

// hintNotLookedUp distinguishes a missing parameter from a lookup that was skipped, as far
// as one request shows that.
func (g *Gateway) hintNotLookedUp(p *policy.Policy, v uwsgi.Vars) {
	if _, ok := v.Lookup("CACHE_STATUS"); !ok {
		g.hintOnce(&g.hints.noStatus, "a GET came without CACHE_STATUS, so it is not known to have missed the cache, and is not stored",
			"if nginx did ask memcached for it, add `uwsgi_param CACHE_STATUS $upstream_status;` beside CACHE_KEY")
		return
	}
	if addr := v.Get("CACHE_SERVER"); addr != "" && !p.Keys.Knows(addr) {
		g.hintOnce(&g.hints.server, "nginx asked a memcached server that is not ours for "+addr,
			"name every server of nginx's upstream block with --memcached, as it is written there")
	}
}

func (g *Gateway) hintOnce(once *sync.Once, what, fix string) {
	once.Do(func() { g.log().Warn(what, zap.String("fix", fix)) })
}

// hintLost logs headers that nginx would have to add to hits.
func (g *Gateway) hintLost(lost []uwsgi.Field) {
	for _, f := range lost {
		if _, logged := g.hints.lost.LoadOrStore(strings.ToLower(f.Name), true); logged {
			continue
		}
		g.log().Warn("hits come without a header that the application sends",
			zap.String("header", f.Name),
			zap.String("fix", cmp.Or(policy.AddToHits(f), "--format http: hits keep the application's headers; nginx cannot write this value")))
	}
}
