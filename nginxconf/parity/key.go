package parity

import (
	"cmp"
	"slices"
	"strings"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/snippet"
)

// The params by which nginx hands over where it looked.
const (
	cacheKey    = "CACHE_KEY"
	cacheStatus = "CACHE_STATUS"
	cacheServer = "CACHE_SERVER"
)

// asked returns the expression of the key that nginx asks memcached for.
func (l Lookup) asked() string {
	if !l.Key.Asked.IsZero() {
		return l.Key.Asked.Value
	}
	return l.Key.Expanded
}

// opaque returns the variables of the key that a gateway's template cannot compute.
func (l Lookup) opaque() (all []nginxconf.Variable) {
	for _, v := range l.Key.Opaque {
		if inTemplate(v) == "" {
			all = append(all, v)
		}
	}
	return all
}

// isDerived reports whether the gateway has to compute the key itself.
func (l Lookup) isDerived() bool { return l.Misses != nil && !l.misses().has(cacheKey) }

func (p pass) has(name string) bool {
	_, ok := find(p.Params, name)
	return ok
}

// find returns the last param of that name, which is the one that counts.
func find(params []nginxconf.Param, name string) (p nginxconf.Param, found bool) {
	for _, p := range slices.Backward(params) {
		if p.Name == name {
			return p, true
		}
	}
	return nginxconf.Param{}, false
}

// key compares the key that nginx looks up with the gateway's.
func (k *checker) key(l Lookup) {
	asked, at := l.asked(), l.at(l.Key.Place)
	set := k.setKeyFirst(l)
	switch {
	case !l.Never.IsZero():
		return // which is another finding
	case l.Key.Late != "":
		k.error(at, keyNotSet, set, "%s", l.lateKey())
		return
	case len(nginxconf.Variables(asked)) == 0:
		k.error(at, keyConstant, set, "all pages have the same key %q", asked)
		return
	case !l.hasPath():
		k.error(at, keyConstant, set, "the key %s has no path, so many pages have the same key; nothing is stored", asked)
		return
	case l.isDerived() && k.notDerived(l):
		return
	}
	k.keyDiffers(l, asked)
	k.keyLength(l, asked)
}

// hasPath reports whether the key may contain the path of the page.
func (l Lookup) hasPath() bool {
	return len(l.opaque()) > 0 || l.Key.Varies != "" || slices.ContainsFunc([]string{"request_uri", "uri", "request", "request_filename"}, l.knows)
}

func (k *checker) quotedKey() string {
	key := k.g.Key
	if key == "" {
		key = snippet.DefaultKey
		if _, found := k.config.Map("visitor"); !found { // nginx would not know the variable
			key = strings.TrimPrefix(key, "$visitor")
		}
	}
	return nginxconf.Quote(policy.WithGeneration(k.g.Generation, key))
}

// keyDiffers compares the key with the gateway's template. If nginx hands the key over,
// the gateway uses its template only to delete and explain pages.
func (k *checker) keyDiffers(l Lookup, asked string) {
	key, inGeneration := strings.CutPrefix(l.template(), policy.WithGeneration(k.g.Generation, ""))
	switch {
	case l.Misses == nil || len(l.opaque()) > 0 || l.Key.Varies != "":
		return
	case l.isOneForMany(): // another finding changes the key
		return
	case !inGeneration:
		k.generationDiffers(l, asked)
		return
	case k.g.Key == "" || nginxconf.Canonical(key) == nginxconf.Canonical(k.g.Key):
		return
	}
	at, fix, own := l.at(l.Key.Place), give(Flag{"key", key}), policy.WithGeneration(k.g.Generation, k.g.Key)
	if l.isDerived() {
		k.error(at, keyDiffers, fix, "nginx looks pages up under %s, but uwgate stores them under %s", asked, own)
		return
	}
	k.warning(at, keyDiffers, fix, "nginx looks pages up under %s, but uwgate uses %s when it deletes or explains a page", asked, own)
}

// generationDiffers reports a key without the gateway's generation. Whoever hands keys over
// decides where pages are stored, and so nothing but pages of before is served.
func (k *checker) generationDiffers(l Lookup, asked string) {
	key := k.g.Key
	if key == "" || !l.isDerived() && !strings.HasSuffix(l.template(), nginxconf.Canonical(key)) {
		key = l.withoutGeneration()
	}
	level := Warning
	if l.isDerived() && k.g.Key != "" {
		level = Error
	}
	k.add(level, l.at(l.Key.Place), generationDiffers, k.setKey(l, nginxconf.Quote(policy.WithGeneration(k.g.Generation, key))),
		"nginx looks pages up under %s, which does not begin with the generation %s: it serves the pages of another generation", asked, k.g.Generation)
}

// withoutGeneration returns the expression of the key; one that uwgate prints without its
// generation.
func (l Lookup) withoutGeneration() string {
	for _, printed := range []string{snippet.DefaultKey, snippet.ForwardedKey} {
		if before, ok := strings.CutSuffix(l.template(), printed); ok && policy.CheckGeneration(strings.TrimSuffix(before, ":")) == nil {
			return strings.TrimPrefix(l.asked(), before)
		}
	}
	return l.asked()
}

// notDerived reports a key that the gateway cannot compute.
func (k *checker) notDerived(l Lookup) (found bool) {
	text := l.notDerivable()
	if text == "" {
		return false
	}
	fix := k.params(l.misses(), l.handoverLines()...)
	if made, ok := l.isMadeInside(); ok {
		fix = manual(made, "the key is made in the subrequest, where no uwsgi_param sees it")
	}
	k.add(k.absent(), l.at(l.Key.Place), keyNotDerivable, fix, "%s", text)
	return true
}

// isMadeInside reports whether a directive of the subrequest of srcache_fetch makes the key
// of its argument, as set_md5 does. It returns the lines that make the key before.
func (l Lookup) isMadeInside() (lines string, ok bool) {
	for _, v := range l.opaque() {
		if l.Srcache && strings.EqualFold(l.Key.Asked.Value, v.Name) && strings.HasPrefix(v.Kind, "set_") {
			return v.Kind + " $cache_key " + nginxconf.Quote(l.Key.Value) + ";   # in the location of srcache_fetch\n" +
				"srcache_fetch GET " + lastPath(l.Fetch.Name) + " $cache_key;\n" +
				"uwsgi_param CACHE_KEY $cache_key if_not_empty;\n" +
				"uwsgi_param CACHE_STATUS " + fetchStatus + ";\n" +
				"set " + v.Name + " $query_string;   # in location " + l.Fetch.Name, true
		}
	}
	return "", false
}

// lastPath returns the path of a location's arguments.
func lastPath(location string) string { return location[strings.LastIndexByte(location, ' ')+1:] }

// programs returns what may change the key before the lookup, or the request after it.
func (l Lookup) programs() []nginxconf.Text {
	all := slices.Clone(l.Programs)
	for _, p := range l.Reached {
		all = append(all, p.Programs...)
	}
	return all
}

// madeBy says where the variable comes from.
func madeBy(v nginxconf.Variable) string {
	switch {
	case v.Place.IsZero():
		return "no directive that could be read sets " + v.Name
	case v.Kind == "capture":
		return v.Name + " is a capture of the regex of " + v.Place.String()
	}
	return v.Name + " comes from the " + v.Kind + " of " + v.Place.String()
}

// handoverLines returns the directives that hand the key over.
func (l Lookup) handoverLines() []string {
	variable := cmp.Or(l.Key.Asked.Value, l.Key.Variable, l.Key.Value)
	status := "$upstream_status"
	if l.hasHead() {
		status = fetchStatus
	}
	lines := []string{"uwsgi_param CACHE_KEY " + nginxWord(variable) + " if_not_empty;", "uwsgi_param CACHE_STATUS " + status + ";"}
	if !l.hasHead() {
		lines = append(lines, "uwsgi_param CACHE_SERVER $upstream_addr if_not_empty;")
	}
	return lines
}

// isUnbounded reports whether a client can make the variable as long as it likes.
func isUnbounded(name string) bool {
	return slices.Contains([]string{"request_uri", "uri", "args", "request"}, name) ||
		strings.HasPrefix(name, "http_") || strings.HasPrefix(name, "arg_") || strings.HasPrefix(name, "cookie_")
}

func (k *checker) keyLength(l Lookup, asked string) {
	if k.found.has(keyLong) {
		return // once is enough
	}
	names := nginxconf.Variables(asked)
	i := slices.IndexFunc(names, isUnbounded)
	if i >= 0 && !k.divertsLong(l, names[i]) {
		k.note(l.at(l.Key.Place), keyLong, k.longFix(l, names[i]),
			"with $%s the key can be longer than 250 bytes, which memcached does not accept; such pages are never stored", names[i])
	}
}

// handover checks the params by which misses tell the gateway where nginx looked.
func (k *checker) handover(l Lookup) {
	if l.Misses == nil {
		return
	}
	p := l.misses()
	k.handoverLost(l)
	if param, ok := find(p.Params, cacheKey); ok && !l.isKey(param.Value) {
		k.error(param.Place, handoverKey, k.params(p, l.handoverLines()...),
			"CACHE_KEY hands %s over, but pages are looked up under %s (%s)", param.Value, l.asked(), l.at(l.Key.Place))
	}
	k.handoverStatus(l)
	k.handoverServer(l)
}

// isKey reports whether the expression is the key of the lookup.
func (l Lookup) isKey(expression string) bool {
	same := nginxconf.Canonical(expression)
	if !l.Key.Asked.IsZero() {
		return same == nginxconf.Canonical(l.Key.Asked.Value)
	}
	for _, own := range []string{l.Key.Variable, l.Key.Value, l.Key.Expanded} {
		if own != "" && same == nginxconf.Canonical(own) {
			return true
		}
	}
	return false
}

// handoverLost checks for params of an outer level that nearer ones cancel.
func (k *checker) handoverLost(l Lookup) {
	p := l.misses()
	var lost []string
	for _, name := range []string{cacheKey, cacheStatus, cacheServer} {
		if param, ok := find(p.ParamsLost, name); ok && !p.has(name) {
			lost = append(lost, name+" ("+param.Place.String()+")")
		}
	}
	if len(lost) == 0 {
		return
	}
	level := Error
	if k.g.Key != "" && !p.has(cacheKey) {
		level = Warning
	}
	k.add(level, p.Place, handoverLost, k.handoverFix(p, l),
		"%s are not sent from here: the uwsgi_param of %s cancels those of outer levels", join(lost), p.nearest())
}

// fetchStatus is the result of srcache_fetch. The second variable is empty except after an
// X-Accel-Redirect; the response is then not the page of the first URL.
const fetchStatus = "$srcache_fetch_status$upstream_status"

func isFetchStatus(expression string) bool {
	s := nginxconf.Canonical(expression)
	return s == fetchStatus || s == "$srcache_fetch_status"
}

// isStatus reports whether the expression shows that the lookup was a miss.
func (l Lookup) isStatus(expression string) bool {
	if l.hasHead() {
		return isFetchStatus(expression)
	}
	return nginxconf.Canonical(expression) == "$upstream_status"
}

func (k *checker) handoverStatus(l Lookup) {
	p := l.misses()
	wanted := "$upstream_status"
	if l.hasHead() {
		wanted = fetchStatus
	}
	fix := k.params(p, "uwsgi_param CACHE_STATUS "+wanted+";")
	param, ok := find(p.Params, cacheStatus)
	switch _, lost := find(p.ParamsLost, cacheStatus); {
	case ok && l.isStatus(param.Value):
	case ok && (param.Value == "404" || param.Value == "MISS"):
		k.error(param.Place, handoverStatus, fix, "CACHE_STATUS is always %q, also for requests that were not looked up", param.Value)
	case ok:
		k.error(param.Place, handoverStatus, fix, "CACHE_STATUS is %s, which never reports a miss; nothing is ever stored", param.Value)
	case !p.has(cacheKey) && l.Skip.Value != "":
		k.error(l.Skip.Place, diverted, fix,
			skips)
	case p.has(cacheKey) && !lost:
		key, _ := find(p.Params, cacheKey)
		k.add(k.absent(), key.Place, handoverStatus, fix,
			"CACHE_KEY is handed over without CACHE_STATUS: uwgate cannot distinguish misses from requests that were not looked up, so it stores nothing")
	}
}

func (k *checker) handoverServer(l Lookup) {
	param, ok := find(l.Misses.Params, cacheServer)
	several := len(l.serverNames()) > 1
	switch {
	case l.hasHead():
	case ok && nginxconf.Canonical(param.Value) != "$upstream_addr":
		k.error(param.Place, handoverServer, k.params(l.misses(), "uwsgi_param CACHE_SERVER $upstream_addr if_not_empty;"),
			"CACHE_SERVER is %s, which is not the server that was asked; nothing is stored", param.Value)
	case ok && several && l.method() == cachewriter.All && (k.g.Hash == nil || *k.g.Hash == cachewriter.All):
		k.note(param.Place, handoverServer, remove(param.Place),
			"nginx asks %s in turn, and uwgate would write to all of them; with CACHE_SERVER it writes only to the one that was asked", join(l.serverNames()))
	case !ok && several && l.method() != cachewriter.All && l.hashesKey() && l.misses().has(cacheStatus) && (k.g.Hash == nil || *k.g.Hash != cachewriter.All):
		if _, lost := find(l.Misses.ParamsLost, cacheServer); !lost {
			k.note(l.Misses.Place, handoverServer, k.params(l.misses(), "uwsgi_param CACHE_SERVER $upstream_addr if_not_empty;"),
				"while a server is down nginx asks another one, and without CACHE_SERVER uwgate does not know which")
		}
	}
}

// handsServerOver reports whether nginx says which server it asked. The gateway then
// writes there.
func (l Lookup) handsServerOver() bool {
	if l.hasHead() || l.Misses == nil {
		return false
	}
	server, _ := find(l.Misses.Params, cacheServer)
	status, _ := find(l.Misses.Params, cacheStatus)
	return nginxconf.Canonical(server.Value) == "$upstream_addr" && nginxconf.Canonical(status.Value) == "$upstream_status"
}

// Template returns the key as a template of the gateway, whether or not nginx hands the
// key over. It is not ok if only nginx can compute the key.
func (l Lookup) Template() (key string, ok bool) {
	_, err := policy.ParseTemplate(l.template())
	return l.template(), err == nil && l.Key.Late == "" && l.Key.Varies == "" && len(l.opaque()) == 0
}

// HandsKeyOver reports whether nginx hands the key over.
func (l Lookup) HandsKeyOver() bool { return l.Misses != nil && l.misses().has(cacheKey) }

// KeyFaults returns what is wrong with the key of a configuration itself, wherever it is used.
func KeyFaults(c *nginxconf.Config, g Gateway) (faults []Finding) {
	for _, f := range Check(c, g) {
		if f.Level == Error && slices.Contains([]Code{keyAmbiguous, keyConstant, keyPartial, keyWithoutHost}, f.Code) {
			faults = append(faults, f)
		}
	}
	return faults
}

// NeedsHosts reports whether the fault is that the key has no host: then serve needs
// --allowed-host.
func (f Finding) NeedsHosts() bool { return f.Code == keyWithoutHost }
