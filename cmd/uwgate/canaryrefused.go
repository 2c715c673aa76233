package main

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/backend"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

// Why nginx, or what stands before it, responds itself.

// unreached reports a request without a response.
func (k *nginxKnown) unreached(r *liveReport, pr *probe) {
	name, port := pr.address()
	switch a := pr.response; a.step {
	case stepConnect:
		r.is(offReach, "nginx does not take connections at %s port %s: %v", name, port, a.err)
		r.todo("see whether nginx runs and listens there (`nginx -T | grep listen`); or give --via its address, and the site's name with --header 'Host: NAME'")
	case stepTLS:
		r.is(offReach, "no TLS with %s: %v", pr.host, a.err)
		r.adviseTLS(a.err)
	default:
		r.is(offReach, "nginx does not respond: %s: %v", a.step, a.err)
		r.todo("see nginx's error log for %s", pr.target)
	}
}

func (r *liveReport) adviseTLS(err error) {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		r.todo("if the certificate is signed by itself or by an authority of your own, give --insecure; else let nginx send the whole chain (ssl_certificate)")
	case errors.As(err, &name):
		r.todo("give --via the name that the certificate is for, or nginx's address and --header 'Host: NAME'; or --insecure")
	case errors.As(err, &invalid):
		r.todo("renew the certificate, or give --insecure")
	default:
		r.todo("see that nginx's listen line of that port has ssl; or give --via a URL with http")
	}
}

// refusedBy reports a response that nginx makes before any lookup. It returns false if this
// is none.
func (k *nginxKnown) refusedBy(r *liveReport, pr *probe, a response) bool {
	if a.isGateways() {
		return false
	}
	switch {
	case a.status >= 300 && a.status < 400:
		r.adviseRedirect(pr, a)
	case a.status == http.StatusBadRequest || a.status == http.StatusMisdirectedRequest:
		r.todo("see whether the URL's scheme fits nginx's port, and --header 'Host: NAME' the site")
	case a.status == http.StatusUnauthorized:
		r.todo("nginx asks for a password (auth_basic, auth_request): give --header 'Authorization: Basic …', as from `printf user:password | base64`; or --via a URL that anybody may see")
		r.todo("nginx must not look up requests with Authorization, so pages behind a password are not cached at all")
	case a.status == http.StatusForbidden:
		r.todo("let nginx, or the firewall before it, pass this client (allow, deny, ModSecurity; the User-Agent is uwgate-check, which --header replaces); or give --via a URL that anybody may see, or nginx's own address with --header 'Host: NAME'")
	case a.status == http.StatusTooManyRequests:
		r.todo("let nginx's limits (limit_req, limit_conn) pass this client")
	case a.status == http.StatusInternalServerError:
		r.todo("see nginx's error log for %s: $memcached_key may not be set, or its configuration loop", pr.target)
	case a.status > http.StatusInternalServerError:
		k.adviseGateway(r, pr)
	default:
		return false
	}
	r.is(offReach, "nginx itself responds with %d", a.status)
	if k.before(r, a) {
		r.Summary = strings.Replace(r.Summary, "nginx itself", "nginx, or what stands before it,", 1)
	}
	if a.status < http.StatusInternalServerError && k.conf != nil {
		k.whichServer(r, pr, a)
	}
	return true
}

// adviseRedirect says where nginx sends the client.
func (r *liveReport) adviseRedirect(pr *probe, a response) {
	to, err := url.Parse(a.header.Get("Location"))
	switch {
	case err == nil && to.Host != "" && (to.Scheme == "http" || to.Scheme == "https") && (to.Scheme != pr.scheme || to.Host != pr.host):
		r.todo("nginx redirects to %s: give --via %s://%s/ in place of %s://%s/, or nginx's own address with --header 'Host: %s'",
			printable(to.Scheme+"://"+to.Host), to.Scheme, to.Host, pr.scheme, pr.host, to.Hostname())
	default:
		r.todo("give --via a URL that nginx responds to itself, such as the one that it redirects to")
	}
}

// fronts are response headers of what stands between this client and nginx.
var fronts = []string{"Via", "Age", "X-Cache", "X-Cache-Hits", "Cf-Ray", "Cf-Cache-Status", "X-Amz-Cf-Id", "X-Served-By", "X-Varnish", "X-Sucuri-Id", "X-Akamai-Request-Id"}

// before reports a CDN or proxy that the response came through, and returns false if it does
// not seem so.
func (k *nginxKnown) before(r *liveReport, a response) bool {
	var seen []string
	for _, name := range fronts {
		if v := a.header.Get(name); v != "" {
			seen = append(seen, name+": "+clip(printable(v), 40))
		}
	}
	if len(seen) == 0 {
		return false
	}
	r.evidence("the response came through a CDN or proxy before nginx (%s)", strings.Join(seen, ", "))
	r.todo("give --via the address of nginx itself, and the site's name with --header 'Host: %s'", (&url.URL{Host: r.host()}).Hostname())
	return true
}

func (r *liveReport) host() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// adviseGateway says why nginx cannot reach a gateway.
func (k *nginxKnown) adviseGateway(r *liveReport, pr *probe) {
	r.todo("see nginx's error log for %s: it names what cannot be reached, such as uwgate, or the limit that turned the client away", pr.target)
	k.findUnreachable(r)
}

// findUnreachable adds which sockets nginx cannot connect to, as far as that can be seen from
// here. It reports whether there are any.
func (k *nginxKnown) findUnreachable(r *liveReport) (found bool) {
	for _, f := range k.findings {
		if f.Code == "socket-denied" && f.Level == parity.Error {
			found = true
			r.evidence("%s: %s", f.Place, f.Text)
			r.todo("%s", f.Fix.Text)
		}
	}
	if found {
		return true
	}
	for _, address := range k.gateways {
		if err := tryDial(address); err != nil {
			found = true
			r.evidence("from here, nothing takes connections at %s, where nginx sends misses: %v", address, err)
			r.todo("start `uwgate serve --listen %s`, or correct the uwsgi_pass", address)
		}
	}
	return found
}

const dialTimeout = time.Second

// tryDial connects to an address of nginx's or of --listen.
func tryDial(address string) error {
	network, at, err := backend.ParseAddr(strings.TrimPrefix(address, "suwsgi:"))
	if err != nil {
		return err
	}
	nc, err := net.DialTimeout(network, at, dialTimeout)
	if err != nil {
		return reason(err)
	}
	return nc.Close()
}

// gatewaysOf returns where nginx sends misses: by its configuration, or else by --listen.
func gatewaysOf(s *settings.Settings, conf *nginxconf.Config) (all []string) {
	if conf == nil {
		if s.Origin("listen").IsDefault() {
			return nil
		}
		for _, a := range s.Listen.Addresses {
			all = append(all, a.Text)
		}
		return all
	}
	for _, l := range conf.Lookups {
		if l.Misses == nil {
			continue
		}
		for _, server := range l.Misses.Upstream.Servers {
			address, parameters, _ := strings.Cut(server.Text, " ")
			if !strings.Contains(" "+parameters+" ", " backup ") && !slices.Contains(all, address) {
				all = append(all, address)
			}
		}
	}
	return all
}

// whichServer says which server block of nginx responds to the canary, by the configuration
// that was read.
func (k *nginxKnown) whichServer(r *liveReport, pr *probe, a response) {
	host := headerOf(pr.lines, "Host")
	if k.conf == nil {
		r.todo("see that nginx has this site under the name of --via: with --nginx FILE, check says which server block responds; for another name give --header 'Host: NAME'")
		return
	}
	at, ok := addrPort(a.from)
	if !ok {
		return
	}
	s := k.conf.ServerFor(at, host)
	if s == nil {
		r.evidence("no server block of the configuration listens on %s", at)
		return
	}
	r.evidence("for the host %s at %s nginx chooses the server block of %s (%s)", host, at, s.Place, namesOf(s))
	if !k.looksUp(s) {
		r.todo("this server block looks no page up: write `server_name %s;` into that of the site, or give --via one of its names", (&url.URL{Host: host}).Hostname())
	}
}

// looksUp reports whether a server block has a lookup.
func (k *nginxKnown) looksUp(s *nginxconf.Server) bool {
	for _, l := range k.conf.Lookups {
		if l.Server.Place == s.Place {
			return true
		}
	}
	return false
}

func namesOf(s *nginxconf.Server) string {
	if len(s.Names) == 0 {
		return "without server_name"
	}
	return "server_name " + strings.Join(s.Names, " ")
}

func addrPort(from net.Addr) (netip.AddrPort, bool) {
	if from == nil {
		return netip.AddrPort{}, false
	}
	at, err := netip.ParseAddrPort(from.String())
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), err == nil
}
