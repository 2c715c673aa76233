package parity

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"uwgate/nginxconf"
)

// inForce returns the directives of a name in the block, or in the nearest block around it
// that has any.
func (k *checker) inForce(block nginxconf.Place, name string) []nginxconf.Text {
	return k.config.In(k.level(block, name), name)
}

// last returns the last of the directives in force. It is zero if there is none.
func (k *checker) last(block nginxconf.Place, name string) nginxconf.Text {
	all := k.inForce(block, name)
	if len(all) == 0 {
		return nginxconf.Text{}
	}
	return all[len(all)-1]
}

// isOn reports whether a directive is there, and not off.
func isOn(d nginxconf.Text) bool { return !d.IsZero() && d.Value != "off" }

// filters checks what nginx does to the bodies of hits.
func (k *checker) filters(l Lookup) {
	if l.hasHead() {
		return
	}
	for _, h := range l.Headers {
		if strings.EqualFold(h.Name, "Content-Encoding") {
			k.error(h.Place, hitEncoding, remove(h.Place),
				"all hits get the header Content-Encoding: %s, but their bodies are not encoded by that: browsers cannot show them", h.Value)
		}
	}
	if l.gzipBits() == 0 {
		return
	}
	for _, name := range []string{"ssi", "sub_filter", "add_before_body", "add_after_body"} {
		if d := k.last(l.Location.Place, name); isOn(d) {
			k.warning(d.Place, filterSkipped, k.put(l.Location.Place, "memcached_gzip_flag 0;").and(give(Flag{"format", "body"})),
				"%s changes pages, but nginx does not decompress hits for it: visitors who accept gzip get hits that it did not change, or that it broke", name)
		}
	}
}

// missHeaders checks for headers that misses get from nginx and hits do not.
func (k *checker) missHeaders(l Lookup) {
	if l.hasHead() || l.Misses == nil || l.Misses.Location == l.Location {
		return
	}
	for _, d := range k.inForce(l.Misses.Location.Place, "add_header") {
		words := k.config.Words(d.Place)
		if isFound := func(h nginxconf.AddHeader) bool { return h.Place == d.Place }; slices.ContainsFunc(l.Headers, isFound) {
			continue
		}
		if len(words) > 2 && strings.EqualFold(words[1], "Content-Encoding") {
			k.error(d.Place, hitEncoding, remove(d.Place),
				"all misses get the header Content-Encoding: %s, but their bodies are not encoded by that: browsers cannot show them", words[2])
			continue
		}
		isHit := func(h nginxconf.AddHeader) bool { return strings.EqualFold(h.Name, words[1]) }
		isLost := slices.ContainsFunc(l.HeadersLost, isHit) && len(l.Headers) > 0 // another finding
		if len(words) < 3 || slices.ContainsFunc(l.Headers, isHit) || isLost || strings.Contains(words[2], "$upstream") {
			continue
		}
		line := headerLine(nginxconf.AddHeader{Name: words[1], Value: words[2], Always: len(words) > 3})
		k.warning(d.Place, headerLost, k.besideHeaders(l, line).as(line+"   # in the location of the lookup, too"),
			"misses get the header %s here, but hits do not: they do not come through this location", words[1])
	}
}

// certificates checks for visitors who prove who they are by a certificate, and are looked
// up like strangers.
func (k *checker) certificates(l Lookup) {
	d := k.last(l.Server.Place, "ssl_verify_client")
	if !isOn(d) || l.Misses == nil {
		return
	}
	conditions := []string{l.Skip.Value}
	for _, p := range l.Diverted {
		conditions = append(conditions, p.If.Value)
	}
	if slices.ContainsFunc(conditions, func(c string) bool { return k.eval.isMadeOf(c, "ssl_client_") }) {
		return
	}
	fix := begin(l.Location.Place, k.leaveLine(l, "$ssl_client_verify = SUCCESS"))
	if l.hasHead() {
		fix = end(k.http(l.Server), `map $ssl_client_verify $has_certificate { default ""; SUCCESS 1; }`).
			and(k.put(l.Location.Place, "srcache_fetch_skip $has_certificate;"))
	}
	k.warning(d.Place, membersLookedUp, fix,
		"visitors with a client certificate are looked up like strangers (%s), so they get the pages of strangers", l.Place)
}

// upstreamSettings checks how nginx treats the gateway as an upstream.
func (k *checker) upstreamSettings(p pass) {
	at := p.Location.Place
	if d := k.last(at, "uwsgi_pass_request_body"); d.Value == "off" && p.announcesBody() && !k.isForAuth(p) {
		k.error(d.Place, noBody, k.put(at, "uwsgi_pass_request_body on;"),
			"nginx sends no request bodies, but announces them: the application waits for forms and uploads that never come")
	}
	for _, name := range []string{"uwsgi_cache", "uwsgi_store"} {
		if d := k.last(at, name); isOn(d) {
			k.error(d.Place, nginxCache, k.put(at, name+" off;"),
				"with %s nginx keeps pages by itself: uwgate cannot delete them, and does not see requests for them", name)
		}
	}
	k.retries(p)
	k.buffers(p)
	k.readTimeout(p)
}

// announcesBody reports whether the application is told of a body.
func (p pass) announcesBody() bool {
	length, _ := find(p.Params, "CONTENT_LENGTH")
	return length.Value != ""
}

// readTimeout compares how long nginx and the gateway wait for the first byte of a
// response.
func (k *checker) readTimeout(p pass) {
	if k.g.FirstByteTimeout == 0 {
		return
	}
	d := k.last(p.Location.Place, "uwsgi_read_timeout")
	wait, ok := duration(d.Value)
	if d.IsZero() {
		d.Place, wait, ok = p.Place, time.Minute, true
	}
	const longer = 5 * time.Second
	line := fmt.Sprintf("uwsgi_read_timeout %.0fs;", (k.g.FirstByteTimeout + longer).Seconds())
	switch {
	case !ok:
	case wait < k.g.FirstByteTimeout:
		k.warning(d.Place, readTimeout, k.put(p.Location.Place, line),
			"nginx waits %v for a response, and uwgate %v (--first-byte-timeout): visitors get status 504 from nginx while the worker still makes the page", wait, k.g.FirstByteTimeout)
	case wait > k.g.FirstByteTimeout+time.Minute:
		k.note(d.Place, readTimeout, give(Flag{"first-byte-timeout", wait.String()}),
			"nginx waits %v for a response, but uwgate only %v (--first-byte-timeout): slow pages get status 504", wait, k.g.FirstByteTimeout)
	}
}

// duration parses nginx's time, if it is one of the usual ones.
func duration(text string) (time.Duration, bool) {
	if strings.Trim(text, "0123456789") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// forwardedProto checks for a proxy in front of nginx that speaks TLS with the visitors.
// The gateway drops what it says, unless it is told to trust it.
func (k *checker) forwardedProto(p pass) {
	if k.g.TrustForwardedProto || k.isTLS(p.Server) {
		return
	}
	fix := give(Flag{Name: "trust-forwarded-proto"}).as("--trust-forwarded-proto   # if the proxy sets X-Forwarded-Proto for all requests")
	for _, param := range p.Params {
		if k.eval.isMadeOf(param.Value, "http_x_forwarded_proto") && param.Name != cacheKey {
			k.warning(param.Place, forwardedProto, fix,
				"the application uses X-Forwarded-Proto (%s), but uwgate drops it without --trust-forwarded-proto: a redirect to https, such as Django's SECURE_SSL_REDIRECT, repeats forever", param.Name)
			return
		}
	}
	if d := k.last(p.Server.Place, "set_real_ip_from"); !d.IsZero() {
		k.note(d.Place, forwardedProto, fix,
			"a proxy is in front of nginx. If it speaks TLS for nginx, the application needs its X-Forwarded-Proto, and uwgate drops that without --trust-forwarded-proto")
	}
}

// isTLS reports whether a server block speaks TLS itself.
func (k *checker) isTLS(server nginxconf.Block) bool {
	return slices.ContainsFunc(k.config.In(server.Place, "listen"), func(d nginxconf.Text) bool {
		return slices.Contains(strings.Fields(d.Value), "ssl") || slices.Contains(strings.Fields(d.Value), "quic")
	})
}

// extensionsOf finds the extensions in the regex of a location such as `~ \.(css|js)$`.
var extensionsOf = regexp.MustCompile(`^~\*? \^?\S*\\\.\(?(?:\?:)?([a-z0-9|]+)\)?\$$`)

// isTypedByExtension reports whether all paths of the lookup's location have an extension
// of the types block, so that its default_type never decides.
func (l Lookup) isTypedByExtension() bool {
	m := extensionsOf.FindStringSubmatch(l.Location.Name)
	return m != nil && !slices.ContainsFunc(strings.Split(m[1], "|"), func(extension string) bool {
		_, ok := l.Types[extension]
		return !ok
	})
}

// withDefaultType returns the lookups whose default_type decides for some pages; all if
// there are none.
func withDefaultType(all []Lookup) []Lookup {
	some := slices.DeleteFunc(slices.Clone(all), Lookup.isTypedByExtension)
	if len(some) == 0 {
		return all
	}
	return some
}
