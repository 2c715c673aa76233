package parity

import (
	"path/filepath"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// subrequests reports directives that make subrequests. A subrequest has the $request_uri
// of its page.
func (k *checker) subrequests(ours *group) {
	for _, sub := range k.config.Subrequests {
		k.ssiSentinel(sub, ours)
		k.authBody(sub, ours)
		lookups := slices.DeleteFunc(ours.of(sub.Lookups), k.asksNoParts)
		shared := slices.DeleteFunc(slices.Clone(lookups), func(l Lookup) bool { return !l.isOfURL() })
		switch {
		case sub.Kind == "auth_request" && len(lookups) > 0 && lookups[0].Misses != nil:
			k.authRequest(sub, lookups[0])
		case len(shared) > 0:
			k.add(subrequestLevel(sub.Kind), sub.Place, subrequests, k.partsFix(sub, shared[0]),
				"subrequests of %s reach the lookup of %s under the key of their page: once the page is stored, nginx serves it in place of their response; their own responses are not stored", sub.Value, shared[0].Place)
		case len(lookups) > 0:
			k.note(sub.Place, subrequests, Fix{},
				"subrequests of %s reach the lookup of %s; their responses are stored only if CACHE_KEY is handed over and has $uri, and nothing else of the page", sub.Value, lookups[0].Place)
		case slices.ContainsFunc(sub.Passes, func(p *nginxconf.Pass) bool {
			return ours.upstreams[p.Upstream.Name]
		}):
			k.note(sub.Place, subrequests, Fix{},
				"subrequests of %s reach uwgate (%s); their responses are not stored", sub.Value, sub.Passes[0].Place)
		}
	}
}

// partsFix keeps subrequests away from the key of their page. If nginx gives many pages one
// path, a key that has it is wrong for them.
func (k *checker) partsFix(sub nginxconf.Subrequest, l Lookup) Fix {
	switch {
	case l.OnePath.IsZero():
		return k.fragmentFix(l)
	case sub.Kind == "ssi" || sub.Kind == "slice":
		return manual(printedConfiguration, "a key with $uri is wrong for the pages that pass "+l.OnePath.Value+", so the parts must not be looked up")
	}
	return k.ownLocation(sub.Value, "internal; ", l)
}

// authBody checks for access checks that announce the body of the request that they are
// for: they have none themselves, whatever uwsgi_pass_request_body says.
func (k *checker) authBody(sub nginxconf.Subrequest, ours *group) {
	if sub.Kind != "auth_request" {
		return
	}
	for _, p := range passesOf(sub.Passes) {
		if !ours.upstreams[p.Upstream.Name] || !p.announcesBody() || !p.isFor(sub) {
			continue
		}
		const noLength = `uwsgi_param CONTENT_LENGTH "";`
		fix := end(p.Location.Place, append(k.paramsOf(p), noLength)...)
		if len(k.config.In(p.Location.Place, "uwsgi_param")) > 0 {
			fix = k.put(p.Location.Place, noLength)
		}
		k.warning(p.Place, noBody, fix,
			"the subrequests of %s have no body, but announce that of their request: for each POST, uwgate waits for a body that never comes", sub.Value)
	}
}

// isFor reports whether the location of a pass is that of the subrequests alone.
func (p pass) isFor(sub nginxconf.Subrequest) bool {
	return slices.Contains(sub.Passes, p.Pass) && p.Location.Name == "= "+lastWord(sub.Value)
}

// paramsOf returns the lines that give a location of its own params those of outer levels.
func (k *checker) paramsOf(p pass) (lines []string) {
	lines = []string{k.usualParams()}
	for _, param := range p.Params {
		if filepath.Base(param.File) != "uwsgi_params" {
			lines = append(lines, k.line(param.Place))
		}
	}
	return lines
}

// isForAuth reports whether the subrequests of auth_request come to a pass.
func (k *checker) isForAuth(p pass) bool {
	return slices.ContainsFunc(k.config.Subrequests, func(sub nginxconf.Subrequest) bool {
		return sub.Kind == "auth_request" && p.isFor(sub)
	})
}

// isOfURL reports whether the key is that of the client's URL, whatever nginx makes of it.
func (l Lookup) isOfURL() bool {
	return l.Key.Late == "" && len(l.opaque()) == 0 && !l.knows("uri")
}

// subrequestLevel is that of subrequests under the key of their page. Those of a fixed URI
// happen for every page; ssi and others make them only for some, or serve no part of it.
func subrequestLevel(kind string) Level {
	if kind == "add_before_body" || kind == "add_after_body" {
		return Error
	}
	return Warning
}

// authRequest reports an access check that memcached may answer.
func (k *checker) authRequest(sub nginxconf.Subrequest, l Lookup) {
	what := "its own key: once a response that allows access is stored, everybody has access"
	if l.isOfURL() {
		what = "the key of the page: once the page is stored, everybody has access to it"
	}
	k.error(sub.Place, subrequests, k.ownLocation(sub.Value, "internal; ", l),
		"the subrequest of %s, which decides on access, is looked up (%s) under %s", sub.Value, l.Place, what)
}

// ownLocation gives what a directive sends on a location of its own, without a lookup.
func (k *checker) ownLocation(what, more string, l Lookup) Fix {
	path := lastWord(what)
	if len(nginxconf.Variables(path)) > 0 || !strings.HasPrefix(path, "/") {
		return manual("a location without a lookup for "+path+": `uwsgi_pass "+l.misses().Upstream.Name+";`", "only you know which paths that can be")
	}
	line := "location = " + path + " { " + more + "uwsgi_pass " + l.misses().Upstream.Name + "; }"
	if !k.named(l.Server, "= "+path).IsZero() {
		return manual(line, "only you know what else this location has to do")
	}
	return end(l.Server.Place, line)
}

// strays reports requests that nginx redirects to a lookup under the key of their first
// URL.
func (k *checker) strays(l Lookup) {
	if l.Misses == nil || !l.isOfURL() {
		return
	}
	keepsOut := k.asksNoParts(l) || k.divertsParts(l)
	for _, s := range l.Strays {
		if s.Differs && keepsOut || k.found.hasAt(s.Place, rewritten) || k.found.hasAt(k.config.Around(s.Place), rewritten) {
			continue
		}
		level, by := Warning, ""
		if !s.By.IsZero() && s.By != s.Text {
			by = " (after " + s.By.Value + ")"
		}
		if s.Refuses {
			level = Error
		}
		k.add(level, s.Place, strayLookedUp, k.ownLocation(s.Value, "", l),
			"requests that %s redirects%s are looked up (%s) under the key of their first URL: if that page is stored, nginx serves it in place of the other one", s.Value, by, l.Place)
	}
}

// lastWord returns the path that a directive, written as code, names last.
func lastWord(directive string) string {
	words := strings.Fields(strings.Trim(directive, "`"))
	if flag := words[len(words)-1]; flag == "last" || flag == "break" {
		words = words[:len(words)-1]
	}
	path, _, _ := strings.Cut(words[len(words)-1], "?")
	return strings.TrimSuffix(path, "$is_args$args")
}
