package policy

import (
	"slices"

	"uwgate/uwsgi"
)

// Variants are the entries of one URL as far as they are known. There may be others: a key
// may contain anything else of a request, such as a header, and a URL has other spellings:
// /%61bout brings the page of /about.
type Variants struct {
	// Targets are those whose keys can be enumerated, each once: for both schemes, the
	// usual ports, all classes of visitors, and HEAD.
	Targets []Target

	// URI is the request target as pages have it in their Subject: without arguments
	// that a rule cuts.
	URI string
}

// VariantsOf returns the entries of a URL. v are the vars as received of the request that
// names it, such as a PURGE; nil: there is none. host is normalized, as in Subject; uri is
// a request target.
func (p *Policy) VariantsOf(v uwsgi.Vars, host, uri string) Variants {
	found := Variants{URI: uri}
	if !hasURI(uri) {
		return found
	}
	asked := p.asGet(forURL(v, host, uri), uri)
	found.URI = asked.Get("REQUEST_URI")
	if requestHost(v) == host && v.Get("REQUEST_URI") == uri {
		found.addOwn(p, v)
	}
	if p.Keys.Template == nil {
		return found
	}
	for _, key := range p.Keys.Template.variants(asked) {
		found.add(Target{Key: key})
	}
	return found
}

// addOwn adds the entry of the request itself, if nginx hands over its key.
func (f *Variants) addOwn(p *Policy, v uwsgi.Vars) {
	var k packet
	k.read(v)
	if !k.handover.key.mixed {
		f.add(Target{Key: k.handover.key.value, Addr: p.Keys.lookup(&k).addr})
	}
}

func (f *Variants) add(t Target) {
	isKnown := slices.ContainsFunc(f.Targets, func(other Target) bool { return other.Key == t.Key })
	if t.Key != "" && wireLen(t.Key) <= maxWireKey && !isKnown {
		f.Targets = append(f.Targets, t)
	}
}

// forURL returns the vars of a stranger's request for a URL. It takes from v what the URL
// does not say.
func forURL(v uwsgi.Vars, host, uri string) uwsgi.Vars {
	raw, query, _ := cutQuery(uri)
	out := uwsgi.Vars{
		{Name: "REQUEST_METHOD", Value: "GET"},
		{Name: "SERVER_PORT", Value: "80"},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
		{Name: "SERVER_NAME", Value: host},
		{Name: "REQUEST_SCHEME", Value: "http"},
		{Name: "REMOTE_ADDR", Value: anonymousAddr},
		{Name: "REMOTE_PORT", Value: anonymousPort},
	}
	for _, x := range v {
		if x.Name != "HTTP_COOKIE" && x.Name != "HTTP_AUTHORIZATION" {
			out = append(out, x)
		}
	}
	if requestHost(v) != host {
		out = append(out, uwsgi.Var{Name: "HTTP_HOST", Value: host})
	}
	if v.Get("REQUEST_URI") != uri {
		out = append(out, uwsgi.Var{Name: "PATH_INFO", Value: normalPath(raw)})
	}
	return append(out, uwsgi.Var{Name: "REQUEST_URI", Value: uri}, uwsgi.Var{Name: "QUERY_STRING", Value: query},
		uwsgi.Var{Name: "CONTENT_TYPE"}, uwsgi.Var{Name: "CONTENT_LENGTH"})
}

// variants returns the keys of the same URL. v are the vars of one request for it.
func (t *Template) variants(v uwsgi.Vars) (keys []string) {
	var choices []choice
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.render == nil || slices.ContainsFunc(choices, func(c choice) bool { return c.variable == p.text }) {
			continue
		}
		if values := valuesOf(p, v); values != nil {
			choices = append(choices, choice{p.text, values})
		}
	}
	given := map[string]string{}
	var expand func(choices []choice)
	expand = func(choices []choice) {
		if len(choices) > 0 {
			for _, given[choices[0].variable] = range choices[0].values {
				expand(choices[1:])
			}
			return
		}
		if key, err := t.expand(v, given); err == nil {
			keys = append(keys, key)
		}
	}
	expand(choices)
	return keys
}

// A choice is what a variable can be in the keys of one URL.
type choice struct {
	variable string
	values   []string
}

// valuesOf returns the values that a variable can have for one URL; nil: only that of the
// request v is known.
func valuesOf(p *piece, v uwsgi.Vars) []string {
	switch p.text {
	case "scheme", schemeVariable:
		return []string{"http", "https"}
	case "https":
		return []string{"", "on"}
	case visitorVariable:
		return []string{"", bearer}
	case "request_method":
		return []string{"GET", "HEAD"}
	case "server_port":
		return []string{"80", "443", v.Get("SERVER_PORT")}
	}
	return nil
}
