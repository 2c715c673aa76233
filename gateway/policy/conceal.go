package policy

import (
	"errors"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// Conceal returns the vars without the bypass argument's secret, which no worker
// and no log may see, wherever it is: in the URL of another method, in a Referer,
// in an argument that contains a URL. It leaves a bypass itself unchanged, because
// Request and ForWorker handle it. It does not change v, and returns v itself if
// it contains no secret.
func (p *Policy) Conceal(v uwsgi.Vars) uwsgi.Vars {
	b := &p.Bypass
	if b.Secret == "" || p.isBypass(v) || !slices.ContainsFunc(v, func(x uwsgi.Var) bool { return b.isTold(x.Value) }) {
		return v
	}
	return b.strip(v)
}

func (p *Policy) isBypass(v uwsgi.Vars) bool {
	var k packet
	k.read(v)
	return p.mayBypass(&k)
}

// PublicURI returns the request's URI as a log may show it.
func (p *Policy) PublicURI(v uwsgi.Vars) string { return p.Bypass.Public(v.Get("REQUEST_URI")) }

// Public returns s, which may be or contain a URI, as a log may show it.
func (b *Bypass) Public(s string) string {
	if !b.isTold(s) {
		return s
	}
	if s = b.stripURI(s); !b.isTold(s) {
		return s
	}
	if s = strings.ReplaceAll(s, b.Secret, "***"); !b.isTold(s) {
		return s
	}
	return "***"
}

// PublicError returns err as a log may show it: an error about a malformed packet
// may quote the secret.
func (b *Bypass) PublicError(err error) error {
	var format *uwsgi.FormatError
	if !b.isTold(err.Error()) || !errors.As(err, &format) {
		return err
	}
	return &uwsgi.FormatError{Code: format.Code, What: "malformed, and not shown: it holds the bypass argument's secret", Offset: format.Offset}
}
