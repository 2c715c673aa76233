package parity

import (
	"fmt"
	"strings"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

// What check calls an error, serve refuses. These are the sentences of both.

// refusal is the error for a finding with which the gateway cannot take a setting from nginx.
// Lines are directives that cure it.
func refusal(at nginxconf.Place, code Code, text string, lines ...string) error {
	fix := "`uwgate check --nginx` says what to write"
	if len(lines) > 0 {
		fix = "add `" + strings.Join(lines, " ") + "`; `uwgate check --nginx` says where"
	}
	return fmt.Errorf("%v: %s [%s]; %s", at, text, code, fix)
}

// lateKey says what a lookup without a key does.
func (l Lookup) lateKey() string {
	outcome := "so nginx responds with an error"
	if l.hasHead() {
		outcome = "so nothing is ever found"
	}
	return fmt.Sprintf("requests are looked up without a key, %s: %s", outcome, l.Key.Late)
}

// notDerivable says why the gateway cannot compute the key from what nginx sends; "" if it
// can.
func (l Lookup) notDerivable() string {
	var why []string
	for _, v := range l.opaque() {
		why = append(why, madeBy(v))
	}
	if l.Key.Varies != "" {
		why = append(why, l.Key.Varies)
	}
	for _, p := range l.programs() {
		why = append(why, fmt.Sprintf("%s of %s may change it, and the request", p.Value, p.Place))
	}
	for _, name := range nginxconf.Variables(l.template()) {
		if _, err := policy.ParseTemplate("$" + name); err != nil && !l.isOpaque(name) {
			why = append(why, "only nginx knows $"+name)
		}
	}
	if len(why) == 0 {
		return ""
	}
	return fmt.Sprintf("uwgate cannot compute the key %s, and nginx does not hand it over: %s", l.asked(), join(why))
}

func (l Lookup) isOpaque(name string) bool {
	for _, v := range l.opaque() {
		if nginxconf.Lower(v.Name) == "$"+name {
			return true
		}
	}
	return false
}

// changedKey says what is wrong with a variable of the key that a directive changes.
func changedKey(name string, by nginxconf.Text) string {
	return fmt.Sprintf("the key has $%s, which %s changes after the key was made: uwgate stores pages where nginx does not look, and may store many under one key", name, by.Value)
}

// oneKeyForMany says what is wrong with a key of $uri behind the directive.
func oneKeyForMany(by nginxconf.Text) string {
	return fmt.Sprintf("all URLs that pass %s are looked up under one key, since the key is made from $uri and not from $request_uri", by.Value)
}

// skips is what is wrong with requests that skip a lookup of srcache.
const skips = "requests that skip the lookup here reach uwgate, and nginx does not report that; uwgate computes the key itself, so it stores their pages for everybody"

// comesUnasked says which requests reach the uwsgi_pass without a lookup. Outcome says for
// whom their pages are stored.
func (p pass) comesUnasked(ways []nginxconf.Unasked, outcome string) string {
	return fmt.Sprintf("requests reach this uwsgi_pass without a lookup%s%s, and nginx does not report that; uwgate computes the key itself, so it stores their pages%s", p.only(), whence(ways), outcome)
}

const forEverybody = " for everybody"
