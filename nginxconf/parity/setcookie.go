package parity

import (
	"cmp"
	"strings"

	"uwgate/nginxconf"
)

// cookiesForAll reports cookies that nginx itself gives to all visitors: from the second
// request on nobody is a stranger any more, if the gateway does not know the cookie.
func (k *checker) cookiesForAll(l Lookup) {
	if d := k.last(l.block(), "userid"); d.Value == "on" || d.Value == "v1" {
		k.cookieForAll(d, cmp.Or(k.last(l.block(), "userid_name").Value, "uid"))
	}
	for _, d := range k.inForce(l.block(), "add_header") {
		words := k.config.Words(d.Place)
		if len(words) < 3 || !strings.EqualFold(words[1], "Set-Cookie") {
			continue
		}
		if name, _, ok := strings.Cut(words[2], "="); ok && len(nginxconf.Variables(words[2])) == 0 {
			k.cookieForAll(d, name)
		}
	}
}

func (k *checker) cookieForAll(d nginxconf.Text, name string) {
	if cookies := name + "=1"; !k.g.Visitors.Separate(cookies) && !k.g.Visitors.NameVisitor(cookies) {
		return
	}
	k.warning(d.Place, cookieForAll, give(Flag{"harmless-cookie", name}).as(Flag{"harmless-cookie", name}.String()+"   # if no page depends on it; then print the maps again"),
		"nginx gives all visitors the cookie %s, and uwgate does not know that it is harmless: from the second request on, a visitor is no stranger any more", name)
}
