package policy

import "uwgate/uwsgi"

// A Subject is what purges compare: what is known of a stored page.
type Subject struct {
	// Host is that of the request as nginx has it in $host: in lower case, without
	// port. URI is the request target, like $request_uri, without what a bypass or a
	// rule cuts.
	Host, URI string

	// Tags and TagsLost are those of the Verdict.
	Tags     []string
	TagsLost bool

	// Recorded is set if the key alone does not tell Host and URI, so that they must be
	// stored with the page. Tags always must.
	Recorded bool
}

// Subject returns the host and the request target of a page by its raw key. ok is
// false if the key was not rendered by Template, or if other requests could have the
// same key. Then PageSubject says that they must be recorded.
//
// A key that nginx handed over may be read wrongly if it is only like Template's.
// PageSubject finds these, too.
func (p *Policy) Subject(key string) (host, uri string, ok bool) {
	if p.Keys.Template == nil {
		return "", "", false
	}
	host, uri = p.Keys.Template.invert(key)
	if uri == "" {
		return "", "", false
	}
	if !p.Keys.Template.says.host {
		host = p.Keys.onlyHost()
	}
	if host == "" {
		return "", "", false
	}
	return host, uri, true
}

// onlyHost returns the one host of all pages whose keys Template renders, if there is
// only one; "" if there are others or if it is not known.
func (k *Keys) onlyHost() string {
	if k.hasOneHost() {
		return lowerASCII(k.AllowedHosts[0])
	}
	return k.Template.host
}

// PageSubject returns the subject of a page that is stored. v are the vars as
// received; plan and verdict belong to them.
func (p *Policy) PageSubject(v uwsgi.Vars, plan Plan, verdict Verdict) Subject {
	s := Subject{Host: requestHost(v), URI: plan.URI, Tags: verdict.Tags, TagsLost: verdict.TagsLost}
	if s.URI == "" {
		s.URI = v.Get("REQUEST_URI")
	}
	host, uri, ok := p.Subject(plan.Key)
	s.Recorded = !ok || host != s.Host || uri != s.URI
	return s
}
