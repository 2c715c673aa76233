package parity

import "uwgate/nginxconf"

// satisfy checks for `satisfy any` around srcache_fetch, which is one of the checks of access
// itself: a hit passes it, and one that is passed before ends them all. memcached_pass comes
// after access control.
func (k *checker) satisfy(l Lookup) {
	at := l.Location.Place
	d := k.last(at, "satisfy")
	controls := k.controls(at)
	if !l.hasHead() || d.Value != "any" || controls == 0 || l.skipsAll() {
		return
	}
	fix := k.put(at, "satisfy all;")
	if controls > 1 {
		const line = "srcache_fetch_skip 1;"
		fix = k.put(at, line).as(line + "   # no lookups here; those of --format body come after access control")
	}
	k.error(d.Place, satisfyAny, fix,
		"srcache_fetch (%s) is a check of access, and `satisfy any` requires only one: nginx serves hits to visitors whom it denies access, and looks up nothing for those whom another check lets in", l.Place)
}

// skipsAll reports whether srcache_fetch_skip is a constant that skips each lookup.
func (l Lookup) skipsAll() bool {
	return l.Skip.Value != "" && l.Skip.Value != "0" && len(nginxconf.Variables(l.Skip.Value)) == 0
}

// controls returns how many kinds of access control are in force in the block.
func (k *checker) controls(block nginxconf.Place) (n int) {
	for _, name := range []string{"auth_basic", "auth_request", "auth_jwt", "auth_digest", "js_access", "access_by_lua", "access_by_lua_file", "access_by_lua_block"} {
		if isOn(k.last(block, name)) {
			n++
		}
	}
	if len(k.inForce(block, "allow"))+len(k.inForce(block, "deny")) > 0 {
		n++
	}
	return n
}
