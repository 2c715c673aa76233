package parity

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"uwgate/nginxconf"
)

// misses checks that misses reach the gateway.
func (k *checker) misses(l Lookup) {
	if by := l.Unheard; l.Misses != nil && !l.hasHead() && !by.IsZero() {
		k.add(k.absent(), l.Place, missNowhere, k.put(by.Place, "recursive_error_pages on;"),
			"an error_page of %s leads here, so nginx ignores the error_page for misses: visitors get status 404, and no miss reaches uwgate", by.Value)
	}
	if l.Misses != nil {
		if !k.reaches(l.Misses.Upstream) {
			k.error(l.Misses.Place, missElsewhere, k.passElsewhere(l),
				"misses go to %s, but uwgate listens on %s; nothing is ever stored", addresses(l.Misses.Upstream), join(k.g.Listen))
		}
		return
	}
	page, found := l.errorPage(404)
	switch {
	case l.hasHead():
		k.error(l.Place, missNowhere, k.passHere(l.Location.Place), "misses go to no uwsgi_pass, so they reach no gateway")
	case found:
		k.add(k.absent(), page.Place, missNowhere, k.missFix(l, page),
			"misses go to %s, which has no uwsgi_pass, so they reach no gateway", page.Target)
	}
}

// gatewayAddress returns the gateway's address for uwsgi_pass.
func (k *checker) gatewayAddress() string {
	if len(k.g.Listen) == 0 {
		return "unix:/run/uwgate.sock"
	}
	address, secure := strings.CutPrefix(k.g.Listen[0], "suwsgi:")
	scheme := ""
	if secure {
		scheme = "suwsgi://"
	}
	host, port, err := net.SplitHostPort(address)
	if ip, _ := netip.ParseAddr(host); err == nil && (host == "" || ip.IsUnspecified()) {
		address = "127.0.0.1:" + port
	}
	return scheme + address
}

func addresses(u nginxconf.Upstream) string {
	var all []string
	for _, s := range u.Servers {
		address, _, _ := strings.Cut(s.Text, " ")
		all = append(all, address)
	}
	return join(all)
}

// reaches reports whether a uwsgi_pass may lead to the gateway.
func (k *checker) reaches(u nginxconf.Upstream) bool {
	if len(k.g.Listen) == 0 || len(u.Servers) == 0 {
		return true
	}
	return slices.ContainsFunc(u.Servers, func(s nginxconf.UpstreamServer) bool {
		address, _, _ := strings.Cut(s.Text, " ")
		return slices.ContainsFunc(k.g.Listen, func(listen string) bool { return k.isListener(listen, address) })
	})
}

// encryption checks that both sides use TLS, or neither, for all addresses that lead to
// the gateway.
func (k *checker) encryption(p pass) {
	scheme, bare := nginxconf.CutScheme(p.Upstream.Name)
	secure := strings.EqualFold(scheme, "suwsgi://")
	for _, s := range p.Upstream.Servers {
		address, _, _ := strings.Cut(s.Text, " ")
		i := slices.IndexFunc(k.g.Listen, func(listen string) bool { return k.isListener(listen, address) })
		switch {
		case i < 0 || strings.HasPrefix(k.g.Listen[i], "suwsgi:") == secure:
		case secure:
			k.error(p.Place, tlsDiffers, replace(p.Place, "uwsgi_pass "+bare+";").as("uwsgi_pass "+bare+";   # or --listen suwsgi:…"),
				"suwsgi:// uses TLS, but uwgate (--listen %s) does not; visitors get status 502", k.g.Listen[i])
		default:
			k.error(p.Place, tlsDiffers, replace(p.Place, "uwsgi_pass suwsgi://"+bare+";"),
				"uwgate (--listen %s) uses TLS, but uwsgi_pass without suwsgi:// does not; visitors get status 502", k.g.Listen[i])
		}
	}
}

// errorPage returns the first error page for that status, which is the one that counts.
func (l Lookup) errorPage(code int) (page nginxconf.ErrorPage, found bool) {
	for _, p := range l.ErrorPages {
		if p.Code == code {
			return p, true
		}
	}
	return nginxconf.ErrorPage{}, false
}

// errorPages checks the error pages for requests that memcached does not serve.
func (k *checker) errorPages(l Lookup) {
	if l.hasHead() {
		return
	}
	onMiss, _ := l.errorPage(404)
	for _, need := range []struct {
		code  int
		level Level
		text  string
	}{
		{404, k.absent(), "visitors get status 404 for a page that is not in memcached, and no worker makes it"},
		{405, l.methodLevel(), "PUT, DELETE and all other methods that memcached_pass does not accept get status 405"},
		{502, k.absent(), "visitors get status 502 while memcached is down, and for every URL whose key is longer than 250 bytes"},
		{504, Warning, "visitors get status 504 when memcached does not respond in time"},
	} {
		page, found := l.errorPage(need.code)
		switch {
		case need.code == 405 && (!mayBe("POST", l.If.Value) && !mayBe("PUT", l.If.Value) || k.sendsMethodsAway(l)):
			// Only GET and HEAD reach the lookup.
		case !found:
			k.add(need.level, l.Place, errorPageMissing, k.errorPageFix(l), "without error_page %d, %s", need.code, need.text)
		case len(k.config.NamedTargets(page.Target)) == 0 && page.Target != onMiss.Target:
			k.add(need.level, page.Place, errorPageMissing, k.errorPageFix(l),
				"error_page %d leads to %s and not to the application: %s", need.code, page.Target, need.text)
		default:
			k.errorPageForm(l, page)
		}
	}
}

// otherMethods are some that memcached_pass does not accept.
var otherMethods = []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "PROPFIND"}

// sendsMethodsAway reports whether an `if` takes all methods away that memcached_pass does
// not accept.
func (k *checker) sendsMethodsAway(l Lookup) bool {
	return !slices.ContainsFunc(otherMethods, func(method string) bool {
		runs, ok := k.config.Runs(l.Lookup, func(name string) (string, bool) { return method, name == "request_method" })
		return !ok || len(runs) == 0 || slices.ContainsFunc(runs, func(r nginxconf.Run) bool { return r.IsAsked })
	})
}

// methodLevel is the level of a missing error page for 405. POST requests may leave the
// location before the lookup.
func (l Lookup) methodLevel() Level {
	takesPOST := slices.ContainsFunc(l.Diverted, func(p *nginxconf.Pass) bool { return mayBe("POST", p.If.Value) })
	// As in `if ($request_method = POST) { return 418; }`.
	byStatus := slices.ContainsFunc(l.ErrorPages, func(p nginxconf.ErrorPage) bool {
		return strings.HasPrefix(p.Target, "@") && p.Code > 417 && p.Code < 500
	})
	if takesPOST || byStatus {
		return Warning
	}
	return Error
}

func (k *checker) errorPageForm(l Lookup, page nginxconf.ErrorPage) {
	switch {
	case len(k.config.NamedTargets(page.Target)) == 0:
		k.error(page.Place, errorPageTarget, k.errorPageFix(l),
			"error_page leads to the URI %s, not to a named location: the application sees that path for every page, and no arguments", page.Target)
	case page.Changed != 0:
		k.error(page.Place, errorPageStatus, k.errorPageFix(l),
			"=%d gives that status to every page, also to redirects and errors", page.Changed)
	case !page.Keeps:
		k.error(page.Place, errorPageStatus, k.errorPageFix(l),
			"without `=` clients get the application's page with the status of the error, such as 404 for a page that is not in memcached")
	}
}

// longTimeout is the longest acceptable wait for memcached, which responds in
// milliseconds.
const longTimeout = 5 * time.Second

func (k *checker) timeouts(l Lookup) {
	module, byDefault, block := "memcached", l.Place, l.Location.Place
	if !l.Fetch.IsZero() {
		module, byDefault, block = "memc", l.Fetch.Place, l.Fetch.Place
	}
	for _, t := range []struct {
		nginxconf.Duration
		name, good string
	}{{l.ConnectTimeout, module + "_connect_timeout", "200ms"}, {l.ReadTimeout, module + "_read_timeout", "500ms"}} {
		if t.Value <= longTimeout {
			continue
		}
		at, who := t.Place, ""
		if at.IsZero() {
			at, who = byDefault, " by default"
		}
		fix := k.put(block, t.name+" "+t.good+";")
		if !l.If.IsZero() {
			fix = fix.as(fix.Text + "   # in the location of " + block.String() + ", since nginx does not allow it in `if`")
		}
		k.warning(at, timeout, fix,
			"%s is %gs%s: while memcached hangs, every visitor waits that long", t.name, t.Value.Seconds(), who)
	}
	if slices.Contains(strings.Fields(l.NextUpstream.Value), "not_found") {
		k.warning(l.at(l.NextUpstream.Place), nextUpstream, k.put(block, module+"_next_upstream error timeout;"),
			"with not_found nginx asks all servers for a missing page, and finds old copies on servers where uwgate does not delete them")
	}
}
