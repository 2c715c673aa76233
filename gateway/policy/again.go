package policy

import "uwgate/uwsgi"

// AnonymousFor returns the vars of a request for a page without a visitor, as Anonymous
// does, made of a request for something else on the same site. uri is the page's request
// target, and key its raw key. v are vars as received, of a GET or a PURGE, or a result of
// Anonymous.
//
// It returns nil if the request would not have that key, or Anonymous returns nil for it.
func (p *Policy) AnonymousFor(v uwsgi.Vars, uri, key string) uwsgi.Vars {
	if p.Keys.Template == nil || p.isUnsettled(v) {
		return nil
	}
	other := p.withoutVisitor(p.asGet(v, uri)) // a PURGE has a token
	out := make(uwsgi.Vars, 0, len(other))
	for _, x := range other {
		switch x.Name {
		case varServer: // it was asked for another key
			continue
		case varKey:
			x.Value = key
		case varStatus:
			x.Value = "404" // as if nginx had looked the page up, and not found it
		}
		out = append(out, x)
	}
	plan := p.Request(out)
	if plan.Reason != "" || plan.Key != key {
		return nil
	}
	return p.Anonymous(out, plan)
}
