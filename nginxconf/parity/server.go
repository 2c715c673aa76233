package parity

import (
	"cmp"
	"slices"
	"strings"

	"uwgate/cachewriter"
	"uwgate/nginxconf"
)

// A line is a server line of nginx or of the gateway.
type line struct {
	nginxconf.UpstreamServer
	cachewriter.Server
	addrs []string // nil: not known
	err   error    // why
}

// spellings returns the addresses of the lines as written.
func spellings(lines []line) []string {
	var all []string
	for _, n := range lines {
		all = append(all, n.Name)
	}
	return all
}

// serverNames returns the addresses of the servers that nginx asks while none fails.
func (l Lookup) serverNames() (all []string) {
	for _, s := range l.Memcached.Servers {
		if plain, _ := plain(s); plain != "" {
			all = append(all, strings.Fields(plain)[0])
		}
	}
	return all
}

// memcached returns the same servers as values of --memcached.
func (l Lookup) memcached() (all []string) {
	for _, s := range l.Memcached.Servers {
		if plain, _ := plain(s); plain != "" {
			all = append(all, asFlag(s))
		}
	}
	return all
}

// asFlag returns the line with only those parameters that matter to a gateway.
func asFlag(s nginxconf.UpstreamServer) string {
	kept := strings.Fields(s.Text)[:1]
	for _, field := range strings.Fields(s.Text)[1:] {
		if field == "down" || strings.HasPrefix(field, "weight=") {
			kept = append(kept, field)
		}
	}
	return strings.Join(kept, " ")
}

// servers checks which memcached servers nginx asks.
func (k *checker) servers(l Lookup) {
	lines := k.lines(l)
	switch {
	case l.hasHead() && l.Fetch.IsZero():
		k.error(l.Place, noLookup, manual(printedConfiguration, "only you know which memcached nginx must ask"), "srcache_fetch leads to no memc_pass, so it asks no memcached")
		return
	case len(l.Memcached.Servers) == 0:
		k.warning(l.Memcached.Place, serverUnknown, k.knownUpstream(l), "uwgate cannot know which servers %s leads to", l.Memcached.Name)
		return
	case len(lines) == 0:
		return
	}
	k.maxFails(l, lines)
	k.manyAddresses(l, lines)
	k.hash(l, lines)
	if k.g.Servers != nil {
		k.compareServers(l, lines, k.ownLines())
	}
}

// plain returns the line without parameters that change while nginx runs, and those
// parameters. The text of a backup server is empty.
func plain(s nginxconf.UpstreamServer) (text string, changing []string) {
	var kept []string
	for _, field := range strings.Fields(s.Text) {
		switch {
		case field == "backup":
			return "", nil
		case field == "resolve", field == "drain", strings.HasPrefix(field, "service="):
			changing = append(changing, field)
		default:
			kept = append(kept, field)
		}
	}
	return strings.Join(kept, " "), changing
}

// lines parses the server lines that nginx may ask, and reports what the gateway cannot
// do.
func (k *checker) lines(l Lookup) (lines []line) {
	for _, s := range l.Memcached.Servers {
		plain, changing := plain(s)
		if plain == "" {
			k.backup(l, s)
			continue
		}
		if changing != nil {
			k.warning(s.Place, serverUnknown, replace(s.Place, "server "+plain+";"),
				"with %s nginx changes its servers while it runs, and uwgate knows only what stands here", join(changing))
		}
		n := line{UpstreamServer: s}
		var err error
		if n.Server, err = cachewriter.ParseServer(plain); err != nil {
			k.warning(s.Place, serverUnknown, k.plainServer(l, s), "%q cannot be parsed (%v), so it is not compared", s.Text, err)
			continue
		}
		k.port(l, s, n.Name)
		n.addrs, n.err = k.addressesOf(n.Name, "80")
		lines = append(lines, n)
	}
	return lines
}

func (k *checker) backup(l Lookup, s nginxconf.UpstreamServer) {
	how := ""
	if up := l.Memcached; up.Method == "hash" && up.MethodAt.File == s.File && up.MethodAt.Line > s.Line {
		how = "; nginx accepts it only because `hash` stands below"
	}
	k.warning(s.Place, serverBackup, remove(s.Place),
		"`server %s`: nginx asks a backup server while the others fail, and uwgate writes nothing there%s", s.Text, how)
}

// port checks for addresses without a port.
func (k *checker) port(l Lookup, s nginxconf.UpstreamServer, name string) {
	if _, isSocket := nginxconf.CutUnix(name); isSocket {
		return
	}
	const none = "no port"
	if _, port := splitAddress(name, none); port == none {
		k.error(s.Place, serverPort, k.serverLine(l, s, strings.Replace(s.Text, name, name+":11211", 1)),
			"%s has no port: nginx takes 80, and memcached listens on 11211", name)
	}
}

func (k *checker) ownLines() (lines []line) {
	for _, s := range k.g.Servers {
		n := line{Server: s}
		n.addrs, n.err = k.addressesOf(s.Name, "11211")
		lines = append(lines, n)
	}
	return lines
}

// maxFails checks for servers that nginx avoids after a failure. memcached's response to a
// key that is too long counts as a failure. nginx never avoids the only server.
func (k *checker) maxFails(l Lookup, lines []line) {
	var without []line
	for _, n := range lines {
		set := ""
		for _, field := range strings.Fields(n.Text) {
			if value, ok := strings.CutPrefix(field, "max_fails="); ok {
				set = value
			}
		}
		if set == "" {
			without = append(without, n)
		} else if strings.Trim(set, "0") != "" && isSeveral(lines) {
			k.note(n.Place, maxFails, k.serverLine(l, n.UpstreamServer, strings.Replace(n.Text, "max_fails="+set, "max_fails=0", 1)),
				"with max_fails=%s, that many URLs with a key of more than 250 bytes make nginx avoid %s for fail_timeout", set, n.Name)
		}
	}
	if len(without) == 0 || !isSeveral(lines) {
		return
	}
	first := without[0]
	var fix Fix
	for _, n := range without {
		fix = fix.and(k.serverLine(l, n.UpstreamServer, n.Text+" max_fails=0"))
	}
	k.warning(first.Place, maxFails, fix,
		"%s without max_fails=0: memcached refuses keys of more than 250 bytes, and nginx counts that as a failure: after two such URLs it avoids all servers for ten seconds", join(spellings(without)))
}

// isSeveral reports whether nginx can choose between servers.
func isSeveral(lines []line) bool { return len(lines) > 1 || len(lines[0].addrs) > 1 }

// manyAddresses reports names with several addresses. nginx gives each address its own
// place in the hash, in the order in which the resolver returned them.
func (k *checker) manyAddresses(l Lookup, lines []line) {
	if l.method() != cachewriter.Modulo || len(lines) < 2 {
		return
	}
	for _, n := range lines {
		if len(n.addrs) < 2 {
			continue
		}
		level := Warning
		if l.handsServerOver() {
			level = Note
		}
		k.add(level, n.Place, serverAddresses, k.oneAddress(l, n),
			"%s stands for %s; hash gives each address its own keys, and nginx and uwgate may receive the addresses in different orders", n.Name, join(n.addrs))
	}
}

// method returns how nginx chooses a server.
func (l Lookup) method() cachewriter.Method {
	switch {
	case l.Memcached.Method != "hash":
		return cachewriter.All
	case l.Memcached.Ketama:
		return cachewriter.Consistent
	}
	return cachewriter.Modulo
}

// hashesKey reports whether the choice depends on the key alone, or there is no hash.
func (l Lookup) hashesKey() bool {
	expression := l.Memcached.Hash
	if l.Memcached.Method != "hash" || l.isKey(expression) {
		return true
	}
	if l.Fetch.IsZero() {
		return nginxconf.Canonical(expression) == "$memcached_key" && nginxconf.Lower(l.Key.Variable) == "$memcached_key"
	}
	// In the subrequest these variables are the key.
	return slices.Contains([]string{"$memc_key", "$memcached_key"}, nginxconf.Canonical(expression)) ||
		nginxconf.Canonical(expression) == "$args" && l.Key.Asked.IsZero()
}

// ringLevel is the level of a finding by which the gateway would choose another server. If
// nginx says which server it asked, only deletes reach the wrong server, and only for a
// moment.
func (l Lookup) ringLevel() Level {
	if l.handsServerOver() {
		return Warning
	}
	return Error
}

func (k *checker) hash(l Lookup, lines []line) {
	if len(lines) < 2 {
		return
	}
	up, variable := l.Memcached, cmp.Or(l.Key.Variable, "$memcached_key")
	if !l.Fetch.IsZero() {
		variable = "$memc_key"
	}
	how := "hash " + up.Hash
	if up.Ketama {
		how += " consistent"
	}
	told := k.g.Hash
	switch {
	case told != nil && *told == l.method() && l.hashesKey():
	case !l.hashesKey():
		if told == nil || *told != cachewriter.All {
			k.add(l.ringLevel(), up.MethodAt, hashExpression, k.hashLine(l, "hash "+variable+" consistent;"),
				"`%s` does not choose the server by the key, but uwgate does", how)
		}
	case told == nil:
	case *told == cachewriter.All:
		k.warning(up.MethodAt, hashDiffers, give(Flag{"hash", l.method().String()}),
			"with `%s` nginx asks one server for a page, but uwgate (--hash none) writes it to all", how)
	case l.method() == cachewriter.All:
		by := "round robin"
		if up.Method != "" {
			by = up.Method
		}
		k.add(l.ringLevel(), up.Place, hashDiffers, k.hashLine(l, "hash "+variable+consistentIf(*told)+";"),
			"nginx asks %s by %s, whatever the key, but uwgate writes a page to one of them (--hash %v)", join(spellings(lines)), by, *told)
	default:
		k.add(l.ringLevel(), up.MethodAt, hashDiffers, give(Flag{"hash", l.method().String()}),
			"with `%s` nginx chooses by %v, but uwgate chooses by %v", how, l.method(), *told)
	}
}

func consistentIf(m cachewriter.Method) string {
	if m == cachewriter.Consistent {
		return " consistent"
	}
	return ""
}
