package parity

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// rewritten checks for a key made from a path or arguments that nginx changes.
func (k *checker) rewritten(l Lookup) {
	if l.Misses == nil || l.Key.Late != "" {
		return
	}
	if name, by := l.changes(); name != "" {
		k.error(by.Place, keyRewritten, k.params(l.misses(), l.handoverLines()...),
			"%s", changedKey(name, by))
	}
	if !l.Remade.IsZero() && l.misses().has(cacheKey) {
		k.error(l.Remade.Place, keyRewritten, k.remadeFix(l), "%s", l.remakes())
	}
	if l.isOneForMany() {
		level := Error
		if !l.isDerived() {
			level = Warning // for it is the same page, if the application goes by PATH_INFO alone
		}
		k.add(level, l.Before.Place, keyRewritten, k.setKey(l, k.keyOfURL(l)),
			"%s", oneKeyForMany(l.Before))
	}
}

// remakes says what is wrong with a `set` of the key after the lookup.
func (l Lookup) remakes() string {
	why := ""
	if !l.Moved.IsZero() {
		why = fmt.Sprintf(", from a changed path (%s of %s)", l.Moved.Value, l.Moved.Place)
	}
	return fmt.Sprintf("%s makes another key after the lookup of %s%s, and CACHE_KEY hands that one over: uwgate stores pages where nginx does not look", l.Remade.Value, l.Place, why)
}

// changes returns a variable of the derived key that nginx changes after the key was made
// and before the uwsgi_pass, and the directive that does so. A CACHE_KEY that is an
// expression can have such a variable, too.
func (l Lookup) changes() (name string, by nginxconf.Text) {
	expression := l.asked()
	if handed, ok := find(l.Misses.Params, cacheKey); ok {
		expression = handed.Value
	}
	for _, name := range nginxconf.Variables(expression) {
		switch {
		case name == "uri" && !l.Moved.IsZero():
			return name, l.Moved
		case nginxconf.IsArgs(name) && !l.Recut.IsZero():
			return name, l.Recut
		}
	}
	return "", nginxconf.Text{}
}

// isOneForMany reports whether many URLs are looked up under one key.
func (l Lookup) isOneForMany() bool {
	names := nginxconf.Variables(l.asked())
	return l.IsConstant && slices.Contains(names, "uri") && !slices.Contains(names, "request_uri")
}

// rewrites reports a path or arguments that nginx changes on the way to the gateway. The
// worker's response may then not be the page of the URL, so it is not stored.
func (k *checker) rewrites(p pass, ours *group) {
	at := p.Rewritten.Place
	isUnasked := slices.ContainsFunc(ours.lookups, func(l Lookup) bool { return l.Differs.Place == at && k.found.hasAt(l.Place, neverReached) })
	isWrong := isUnasked || k.found.hasAt(at, keyRewritten) || k.found.hasAt(at, rewritten) || k.found.hasAt(k.config.Around(at), rewritten) || k.found.hasAt(at, errorPageTarget)
	if p.Rewritten.IsZero() || k.g.AllowRewrites || isWrong {
		return
	}
	if k.storesRecut(p, ours) {
		k.note(at, rewritten, Fix{},
			"%s changes the arguments, but not REQUEST_URI, before requests reach uwgate. Their pages are stored, under a key with the changed arguments: an application that uses REQUEST_URI shows visitors of one URL that of another", p.Rewritten.Value)
		return
	}
	fix := give(Flag{Name: "allow-rewrites"}).as("--allow-rewrites   # if each URL has one page nevertheless")
	err := ours.rewritesErr(k)
	if err == nil {
		k.note(p.Rewritten.Place, rewritten, fix,
			"%s changes path or arguments before a request reaches uwgate. `uwgate serve --nginx` stores the pages, since the URL alone decides the result; without --nginx they are not stored", p.Rewritten.Value)
		return
	}
	k.note(p.Rewritten.Place, rewritten, fix,
		"%s changes path or arguments before a request reaches uwgate, so such pages are not stored: the worker's response need not be the page of the URL (%v)", p.Rewritten.Value, err)
}

// storesRecut reports whether pages are stored for whose requests a `set` has replaced the
// arguments: those whose key is handed over and has what the application gets.
func (k *checker) storesRecut(p pass, ours *group) bool {
	if words := k.config.Words(p.Rewritten.Place); len(words) == 0 || words[0] != "set" || !p.has(cacheKey) {
		return false
	}
	return slices.ContainsFunc(ours.lookups, func(l Lookup) bool {
		if !slices.Contains(l.Reached, p.Pass) || l.Key.Late != "" {
			return false
		}
		s := k.sample(l).with("")
		keys := k.samples(l.asked(), s)
		s["request_uri"] += "?q4Xv9=7"
		return !l.knows("request_uri") && k.reasonFor(l, s, keys[0]) == ""
	})
}

// rewritesErr returns that of the configuration, found once.
func (g *group) rewritesErr(k *checker) error {
	if !g.isProven {
		g.isProven, g.unproven = true, rewritesErr(k.config, g.leads(k), g)
	}
	return g.unproven
}

// rewritesErr says what, besides the URL, may decide which path the worker is asked for.
// Nil: the configuration has nothing that may.
func rewritesErr(c *nginxconf.Config, reaches func(nginxconf.Upstream) bool, ours *group) error {
	if gap, ok := c.Unread(); ok {
		return fmt.Errorf("%v: %s; uwgate does not know what stands there", gap.Place, gap.Text)
	}
	if len(c.Programs) > 0 {
		return fmt.Errorf("%v: %s may send requests anywhere", c.Programs[0].Place, c.Programs[0].Value)
	}
	isOurs := func(p pass) bool { return reaches(p.Upstream) }
	for _, sub := range c.Subrequests {
		if slices.ContainsFunc(passesOf(sub.Passes), isOurs) || slices.ContainsFunc(sub.Lookups, ours.has) {
			return fmt.Errorf("%v: %s makes subrequests that reach uwgate", sub.Place, sub.Value)
		}
	}
	for _, l := range ours.lookups {
		if l.isOneForMany() {
			return fmt.Errorf("%v: %s gives many URLs one path, and the key is made from that path", l.Before.Place, l.Before.Value)
		}
	}
	for _, p := range passesOf(c.Passes) {
		if err := p.rewritesErr(); isOurs(p) && err != nil {
			return err
		}
	}
	return nil
}

// rewritesErr says the same for the requests that reach one uwsgi_pass.
func (p pass) rewritesErr() error {
	path, _ := find(p.Params, "PATH_INFO")
	query, _ := find(p.Params, "QUERY_STRING")
	status, _ := find(p.Params, cacheStatus)
	switch {
	case !p.Doubtful.IsZero():
		return fmt.Errorf("%v: %s changes path or arguments of only some requests for a URL", p.Doubtful.Place, p.Doubtful.Value)
	case path.Value != "" && nginxconf.Canonical(path.Value) != "$uri":
		return fmt.Errorf("%v: PATH_INFO is %s, which is not nginx's own path, $uri", path.Place, path.Value)
	case query.Value != "" && nginxconf.Canonical(query.Value) != "$args":
		return fmt.Errorf("%v: QUERY_STRING is %s, which is not nginx's own arguments, $args", query.Place, query.Value)
	case slices.ContainsFunc(p.Ignored, func(header string) bool { return strings.EqualFold(header, "X-Accel-Redirect") }):
	case !slices.Contains(nginxconf.Variables(status.Value), "upstream_status"):
		return fmt.Errorf("%v: a response may redirect the request by X-Accel-Redirect, and CACHE_STATUS does not show that; write uwsgi_ignore_headers X-Accel-Redirect, or put $upstream_status into CACHE_STATUS", p.Place)
	}
	return nil
}

// errRewritesUnread is for settings of a lookup alone.
var errRewritesUnread = errors.New("the configuration around the lookup was not read")
