package policy

import (
	"errors"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// A Firewall removes vars with which a client of a uwsgi socket could control
// workers, and refuses requests that two readers may understand differently. The
// zero Firewall is the strictest. Using it does not change it, and it is safe for
// concurrent use.
type Firewall struct {
	// AllowVars are UWSGI_* vars that pass: NAME with any value, NAME=VALUE only
	// with that value. uWSGI obeys them: they load code, change directories,
	// serve files.
	AllowVars []string

	// TrustForwardedProto passes on HTTP_X_FORWARDED_PROTO and
	// HTTP_X_FORWARDED_SSL, which come from the client unless a proxy in front of
	// nginx sets them. If it is false, Screen drops them, and sets
	// HTTP_X_FORWARDED_PROTO to what nginx saw.
	TrustForwardedProto bool
}

// A Refusal is an error for a request that uwgate answers itself.
type Refusal struct {
	Status int        // of the response
	Code   uwsgi.Code // does not change; for logs and metrics
	What   string     // for people; contains no value of a header
}

func (r *Refusal) Error() string { return "policy: " + r.What }

// Screen returns the vars that may be forwarded, without repeats
// (uwsgi.Vars.Merge), and the names of the dropped ones, each once. Unknown names
// that begin with UWSGI_ are reported as UWSGI_*, so the names can label a metric.
// Screen does not change v. The three vars that hand over the key stay as they
// are, at the end; Policy.ForWorker removes them. The error is a *Refusal.
func (f *Firewall) Screen(v uwsgi.Vars) (clean uwsgi.Vars, dropped []string, err error) {
	clean = make(uwsgi.Vars, 0, len(v)+1)
	upgrade := isUpgrade(v)
	for i := range v {
		x := &v[i]
		if what := malformed(x); what != "" {
			return nil, nil, &Refusal{Status: 400, Code: uwsgi.ForbiddenVar, What: what}
		}
		if label := f.drops(x, upgrade); label != "" {
			if !slices.Contains(dropped, label) {
				dropped = append(dropped, label)
			}
			continue
		}
		if !isHandover(x.Name) {
			clean = append(clean, *x)
		}
	}
	if clean, err = clean.Merge(); err != nil {
		return nil, nil, refusalFrom(err)
	}
	if clean, err = normalize(clean); err != nil {
		return nil, nil, refusalFrom(err)
	}
	if scheme := clean.Get("REQUEST_SCHEME"); !f.TrustForwardedProto && isToken(scheme) {
		clean = append(clean, uwsgi.Var{Name: "HTTP_X_FORWARDED_PROTO", Value: scheme})
	}
	for i := range v {
		if isHandover(v[i].Name) {
			clean = append(clean, v[i])
		}
	}
	return clean, dropped, nil
}

// drops returns the label under which a var is dropped, "" if it passes.
func (f *Firewall) drops(x *uwsgi.Var, upgrade bool) string {
	name := x.Name
	if strings.HasPrefix(name, "UWSGI_") && !f.allows(x) {
		if slices.Contains(magicVars, name) {
			return name
		}
		return "UWSGI_*"
	}
	switch name {
	case "HTTP_PROXY", // httpoxy, CVE-2016-5385
		"HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", // nginx has framed the body itself
		"HTTP_EXPECT", "HTTP_TE", "HTTP_KEEP_ALIVE": // between the client and nginx
		return name
	case "HTTP_CONNECTION", "HTTP_UPGRADE":
		if !upgrade {
			return name
		}
	case "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL":
		if !f.TrustForwardedProto {
			return name
		}
	}
	return ""
}

func (f *Firewall) allows(x *uwsgi.Var) bool {
	return slices.ContainsFunc(f.AllowVars, func(allowed string) bool {
		name, value, pinned := strings.Cut(allowed, "=")
		return name == x.Name && (!pinned || value == x.Value)
	})
}

// magicVars are vars that uWSGI 2.0 obeys, or that its routers set.
var magicVars = []string{
	"UWSGI_FILE", "UWSGI_SCRIPT", "UWSGI_MODULE", "UWSGI_CALLABLE", "UWSGI_APPID", "UWSGI_HOME", "UWSGI_PYHOME",
	"UWSGI_CHDIR", "UWSGI_SETENV", "UWSGI_POSTFILE", "UWSGI_TOUCH_RELOAD", "UWSGI_CACHE_GET", "UWSGI_SCHEME",
	"UWSGI_FASTROUTER_KEY", "UWSGI_ROUTER",
}

// isUpgrade reports whether the client asks for another protocol (RFC 9110 §7.8):
// it needs Upgrade and the Connection option.
func isUpgrade(v uwsgi.Vars) bool {
	if !isSet(v, "HTTP_UPGRADE") {
		return false
	}
	for i := range v {
		if v[i].Name == "HTTP_CONNECTION" && hasToken(v[i].Value, "upgrade") {
			return true
		}
	}
	return false
}

// malformed returns what is wrong with a var, "" if nothing is. An empty
// REQUEST_METHOD counts as absent: configurations of the old recipe send none with
// POST.
func malformed(x *uwsgi.Var) string {
	switch {
	case x.Name == "REQUEST_METHOD":
		if x.Value != "" && (len(x.Value) > 32 || !isToken(x.Value)) {
			return "REQUEST_METHOD is not a token of at most 32 bytes"
		}
	case x.Name == "REQUEST_URI":
		if strings.ContainsFunc(x.Value, isControlOrSpace) {
			return "REQUEST_URI holds a space or a control character"
		}
	case strings.HasPrefix(x.Name, "HTTP_"):
		if breaksLine(x.Value) {
			return "a header holds CR, LF or NUL"
		}
	}
	return ""
}

// breaksLine searches for three bytes one after the other, which is faster than
// one search for all.
func breaksLine(s string) bool {
	return strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, 0) >= 0
}

func isControlOrSpace(r rune) bool { return r <= 0x20 || r == 0x7f }

// isToken reports whether s is a token (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(isNameByte(c) || strings.IndexByte("!#$%&'*+-.^`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// normalize rewrites, in place, values that the worker would read loosely or
// repeat in its response.
func normalize(clean uwsgi.Vars) (uwsgi.Vars, error) {
	for i := range clean {
		switch x := &clean[i]; x.Name {
		case "CONTENT_LENGTH":
			length, err := normalLength(x.Value)
			if err != nil {
				return nil, err
			}
			x.Value = length
		case "SERVER_PROTOCOL":
			// The worker begins its status line with it, whatever it says.
			if !isProtocol(x.Value) {
				x.Value = "HTTP/1.1"
			}
		}
	}
	return clean, nil
}

// normalLength keeps an empty length: nginx sends one with every GET.
func normalLength(s string) (string, error) {
	req := uwsgi.Request{Vars: uwsgi.Vars{{Name: "CONTENT_LENGTH", Value: s}}}
	if _, err := req.ContentLength(); err != nil {
		return "", err
	}
	if digits := strings.TrimLeft(s, "0"); digits != "" || s == "" {
		return digits, nil
	}
	return "0", nil
}

// isProtocol reports whether s has the form HTTP/d.d.
func isProtocol(s string) bool {
	return len(s) == len("HTTP/1.1") && s[:5] == "HTTP/" && isDigit(s[5]) && s[6] == '.' && isDigit(s[7])
}

// refusalFrom keeps the code of a *uwsgi.FormatError.
func refusalFrom(err error) *Refusal {
	r := &Refusal{Status: 400, Code: uwsgi.ForbiddenVar, What: err.Error()}
	var format *uwsgi.FormatError
	if errors.As(err, &format) {
		r.Code, r.What = format.Code, format.What
	}
	return r
}
