package settings

import (
	"fmt"
	"strings"

	"uwgate/gateway/policy"
)

func visitorRows() []row {
	return []row{
		{name: "identity-cookie", kind: names(func(s *Settings) *[]string { return &s.Visitors.IdentityCookies }, isCookieName), example: "sessionid",
			help: "store no page for requests with this `COOKIE`, which names the visitor; a glob; adds to the built-in names (docs/visitors.md), and none as the first value drops those"},
		{name: "token-cookie", kind: names(func(s *Settings) *[]string { return &s.Visitors.TokenCookies }, isCookieName), example: "csrftoken",
			help: "store no page for requests with this `COOKIE`, which protects forms, but serve them stored pages; a glob; adds to the built-in names, such as csrftoken, and none as the first value drops those"},
		{name: "harmless-cookie", kind: names(func(s *Settings) *[]string { return &s.Visitors.HarmlessCookies }, isCookieName), example: "theme",
			help: "ignore this `COOKIE`, on which no page depends; a glob; adds to the built-in names (analytics and consent tools), and none as the first value drops those"},
		{name: "identity-header", kind: names(func(s *Settings) *[]string { return &s.Visitors.IdentityHeaders }, IsHeaderName), example: "X-Api-Key",
			help: "store no page for requests with this `HEADER`, which names the visitor; a glob; adds to the built-in names, such as X-Api-Key, and none as the first value drops those"},
		{name: "harmless-header", kind: names(func(s *Settings) *[]string { return &s.Visitors.HarmlessHeaders }, IsHeaderName), example: "Cf-Ipcountry",
			help: "ignore this request `HEADER`, on which no page depends; a glob; adds to the built-in names (browsers, proxies and CDNs), and none as the first value drops those"},
		{name: "harmless-var", kind: names(func(s *Settings) *[]string { return &s.Visitors.HarmlessVars }, IsHeaderName), example: "GEOIP_COUNTRY",
			help: "ignore this `VAR`, a uwsgi_param of yours, on which no page depends; a glob; adds to the built-in names (stock uwsgi_params), and none as the first value drops those"},
	}
}

// none is the word that drops built-in names.
const none = "none"

// names is a list of names that isName accepts, with the word none before them, perhaps.
func names(field func(*Settings) *[]string, isName func(string) bool) kind {
	k := texts("glob", field, nil)
	k.take = func(s *Settings, text string) error {
		list := field(s)
		first := text == none && len(*list) == 0
		if !first && (text == none || !isName(text)) {
			return fmt.Errorf("write a name alone; none as the first value drops the built-in names")
		}
		*list = append(*list, text)
		return nil
	}
	return k
}

// isCookieName leaves out what separates cookies, and what no reader takes for a part of
// a name.
func isCookieName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`;,="\[]`, r) })
}

// IsHeaderName reports whether s can be the name of a header (RFC 9110 §5.1).
func IsHeaderName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !IsVarName(string(c)) && strings.IndexByte("!#$%&'*+^`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// IsVarName reports whether s can be the name that a uwsgi_param of nginx gives. No
// request line begins with one.
func IsVarName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return s != ""
}

// MakeVisitors returns the tables of visitors. Vars with a constant value in nginx's
// configuration are harmless, too.
func (s *Settings) MakeVisitors() *policy.Visitors {
	v := s.Visitors
	return policy.NewVisitors(policy.VisitorNames{
		IdentityCookies: v.IdentityCookies,
		TokenCookies:    v.TokenCookies,
		HarmlessCookies: v.HarmlessCookies,
		IdentityHeaders: v.IdentityHeaders,
		HarmlessHeaders: v.HarmlessHeaders,
		HarmlessVars:    append(append([]string(nil), v.HarmlessVars...), s.constantVars()...),
	})
}

// constantVars are the vars whose value in nginx's configuration has no variables. Names
// of headers are not among them: a client may send the same header.
func (s *Settings) constantVars() (names []string) {
	if s.Nginx == nil {
		return nil
	}
	for _, name := range s.Nginx.ConstantVars {
		if !strings.HasPrefix(name, "HTTP_") {
			names = append(names, name)
		}
	}
	return names
}
