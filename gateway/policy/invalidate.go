package policy

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// A Target is an entry to delete.
type Target struct {
	Key  string // raw, and never longer than memcached accepts
	Addr string // the server, one of Keys.Servers; empty if nginx did not say
}

// Invalidated returns the entries that a response makes invalid (RFC 9111 §4.4).
// If the method is unsafe and the response is not an error, these are the entries
// of the request's URI and, on the same host, of Location and Content-Location,
// each once and in its usual spellings. v are the vars as received. There are none for
// a request without a method, nor for a URI whose key cannot be derived.
//
// If Template has $visitor, the entries of all classes of visitors are included.
// If a page has several keys for another reason, such as the language, it is the
// entry that a GET with these vars would look up.
func (p *Policy) Invalidated(v uwsgi.Vars, r *uwsgi.Response) []Target {
	if !IsUnsafe(v) || r.StatusCode < 200 || r.StatusCode > 399 {
		return nil
	}
	uris := []string{v.Get("REQUEST_URI")}
	for _, f := range r.Header {
		if equalFold(f.Name, "Location") || equalFold(f.Name, "Content-Location") {
			if uri, ok := sameHostURI(v, f.Value); ok && !slices.Contains(uris, uri) {
				uris = append(uris, uri)
			}
		}
	}
	return p.targets(v, uris)
}

// Doubtful returns the entries that an unsafe request may have made invalid if its
// outcome is unknown: those of its own URI.
func (p *Policy) Doubtful(v uwsgi.Vars) []Target {
	if !IsUnsafe(v) {
		return nil
	}
	return p.targets(v, []string{v.Get("REQUEST_URI")})
}

// IsUnsafe reports whether a request may change something, by its method.
func IsUnsafe(v uwsgi.Vars) bool {
	method := v.Get("REQUEST_METHOD")
	return method != "" && !isSafeMethod(method)
}

// Bypassed returns the entries that a request with the Bypass argument deletes: that of the
// plan, and those of the other spellings of its URI.
func (p *Policy) Bypassed(v uwsgi.Vars, plan Plan) []Target {
	return p.addTargets(p.Entries(v, plan), v, spellings(p.Bypass.stripURI(v.Get("REQUEST_URI"))))
}

// targets returns the entries of URIs in all their usual spellings, each once.
func (p *Policy) targets(v uwsgi.Vars, uris []string) (targets []Target) {
	for _, uri := range uris {
		targets = p.addTargets(targets, v, spellings(uri))
	}
	return targets
}

func (p *Policy) addTargets(targets []Target, v uwsgi.Vars, uris []string) []Target {
	templates := p.Keys.templatesOf(v)
	for _, uri := range uris {
		if t, ok := p.target(v, uri); ok && !slices.ContainsFunc(targets, t.isSame) {
			targets = append(targets, t)
			targets = addKin(targets, p.asGet(v, uri), templates)
		}
	}
	return targets
}

func (t Target) isSame(other Target) bool { return other.Key == t.Key }

// templatesOf returns the templates that render the keys of a page: that of the request's
// own key, and Template if that is of another generation. Another nginx may look there
// already, or still. There are none if the key was handed over and is no key of Template.
func (k *Keys) templatesOf(v uwsgi.Vars) []*Template {
	key := v.Get(varKey)
	t := k.templateOf(v, key)
	switch {
	case k.Template == nil:
		return nil
	case key == "": // not handed over, or empty since nginx looks no POST up
		return []*Template{k.Template}
	case t == nil:
		return nil
	case t == k.Template:
		return []*Template{t}
	}
	return []*Template{t, k.Template}
}

// Entries returns the entry of the plan, and those of the same URL for other
// classes of visitors. It returns nil for a plan without a key.
func (p *Policy) Entries(v uwsgi.Vars, plan Plan) []Target {
	if plan.Key == "" {
		return nil
	}
	var q request
	q.read(p, v)
	asked, _ := q.reduce(&Plan{})
	return addKin([]Target{{Key: plan.Key, Addr: plan.Addr}}, asked, p.Keys.templatesOf(v))
}

// addKin adds the entries of the same URL for all classes of visitors, by each of the
// templates. v are the vars of a request for it.
func addKin(targets []Target, v uwsgi.Vars, templates []*Template) []Target {
	for i, t := range templates {
		if i == 0 && !t.isByVisitor() {
			continue // its key is there
		}
		for _, class := range []string{"", bearer} {
			key, err := t.expand(v, map[string]string{visitorVariable: class})
			other := Target{Key: key}
			if err == nil && key != "" && wireLen(key) <= maxWireKey && !slices.ContainsFunc(targets, other.isSame) {
				targets = append(targets, other)
			}
		}
	}
	return targets
}

// isSafeMethod reports whether IANA has registered the method as safe (RFC 9110
// §9.2.1). All others may change something.
func isSafeMethod(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY":
		return true
	}
	return false
}

// sameHostURI resolves a reference against the request's URI, and returns the
// request target that a browser would send. Scheme and port may differ: a proxy in
// front of nginx may have changed both.
func sameHostURI(v uwsgi.Vars, reference string) (uri string, ok bool) {
	host := requestHost(v)
	base, err := url.Parse("http://" + host + "/")
	if err != nil {
		return "", false
	}
	raw, query, _ := cutQuery(v.Get("REQUEST_URI"))
	if base.Path, err = url.PathUnescape(raw); err != nil {
		return "", false
	}
	base.RawPath, base.RawQuery = raw, query
	ref, err := url.Parse(reference)
	if err != nil || ref.Opaque != "" {
		return "", false
	}
	u := base.ResolveReference(ref)
	if u.Scheme != "http" && u.Scheme != "https" || normalizeHost(u.Host) != host {
		return "", false
	}
	return u.RequestURI(), true
}

// target returns the entry of a URI of the request's site. It derives the key from
// the one that nginx hands over, or by the template.
func (p *Policy) target(v uwsgi.Vars, uri string) (Target, bool) {
	other, own := p.asGet(v, uri), v.Get("REQUEST_URI")
	var k packet
	k.read(v)
	key := k.handover.key.value
	t := Target{Key: key}
	note := ""
	switch {
	case k.handover.key.mixed:
		return Target{}, false
	case key != "" && uri == own:
		t.Addr = p.Keys.lookup(&k).addr
	case key != "":
		if template := p.Keys.templateOf(v, key); template != nil {
			t.Key, note = expandBy(template, other)
		} else {
			t.Key, note = replaceURI(key, own, other.Get("REQUEST_URI"))
		}
	case p.Keys.Template != nil:
		t.Key, note = p.Keys.expand(other)
	}
	return t, note == "" && t.Key != "" && wireLen(t.Key) <= maxWireKey
}

// asGet returns the vars of a GET for another URI, without the arguments that a
// rule cuts.
func (p *Policy) asGet(v uwsgi.Vars, uri string) uwsgi.Vars {
	raw, query, _ := cutQuery(uri)
	other := slices.Clone(v)
	for i := range other {
		switch x := &other[i]; x.Name {
		case "REQUEST_METHOD":
			x.Value = "GET"
		case "REQUEST_URI":
			x.Value = uri
		case "QUERY_STRING":
			x.Value = query
		case "PATH_INFO":
			if uri != v.Get("REQUEST_URI") {
				x.Value = normalPath(raw)
			}
		}
	}
	seen := seenURLOf(other)
	if _, sure := p.matchRules(&seen); p.cutsArgs(sure) && other.Count(varKey) == 0 {
		other, _ = cutArgs(other, p.rule(sure).KeepArgs)
	}
	return other
}

// normalPath returns nginx's $uri of a raw path: decoded, without dot segments and
// repeated slashes.
func normalPath(raw string) string {
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return raw
	}
	clean := path.Clean("/" + decoded)
	if clean != "/" && (strings.HasSuffix(decoded, "/") || strings.HasSuffix(decoded, "/.") || strings.HasSuffix(decoded, "/..")) {
		clean += "/"
	}
	return clean
}
