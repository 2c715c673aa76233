package parity

import (
	"path/filepath"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// pass checks one uwsgi_pass that leads to the gateway.
func (k *checker) pass(p pass, ours *group) {
	k.encryption(p)
	k.beside(p)
	k.method(p)
	k.repeated(p)
	k.unasked(p, ours)
	k.rewrites(p, ours)
	k.upstreamSettings(p)
	k.forwardedProto(p)
}

func (k *checker) method(p pass) {
	if p.has("REQUEST_METHOD") {
		k.requestURI(p)
		return
	}
	if lost, ok := find(p.ParamsLost, "REQUEST_METHOD"); ok {
		k.error(p.Place, noMethod, k.params(p, k.usualParams()),
			"REQUEST_METHOD (%s) is not sent from here: the uwsgi_param of %s cancels those of outer levels; the application sees no method", lost.Place, p.nearest())
		return
	}
	k.add(k.absent(), p.Place, noMethod, k.methodFix(p),
		"REQUEST_METHOD is not sent from here%s: the application sees no method, and uwgate stores nothing", p.only())
}

// requestURI checks for the param without which the gateway does not know what page it is.
func (k *checker) requestURI(p pass) {
	if !p.has("REQUEST_URI") {
		k.add(k.absent(), p.Place, keyParams, k.params(p, "uwsgi_param REQUEST_URI $request_uri;"),
			"REQUEST_URI is not sent from here%s: uwgate does not know the URL of the page, so it stores nothing", p.only())
	}
}

// nearest returns the place of a param at the level of the pass.
func (p pass) nearest() nginxconf.Place {
	for _, param := range p.Params {
		if param.File == p.File {
			return param.Place
		}
	}
	return p.Params[0].Place
}

// only describes the condition for requests that reach the pass, if there is one.
func (p pass) only() string {
	if p.If.IsZero() {
		return ""
	}
	return " (if " + p.If.Value + ")"
}

// usualParams includes uwsgi_params: by its path if the configuration has it from a folder
// other than that of nginx.conf.
func (k *checker) usualParams() string {
	for _, file := range k.config.Files {
		if filepath.Base(file) == "uwsgi_params" && filepath.Dir(file) != filepath.Dir(k.config.Files[0]) {
			return "include " + nginxconf.Quote(file) + ";"
		}
	}
	return "include uwsgi_params;"
}

// methodFix gives the pass the usual params.
func (k *checker) methodFix(p pass) Fix {
	line := k.usualParams()
	return k.params(p, line).as(line + "   # at server level, so that every block has them")
}

const oneOfTwo = "remove one of the two lines"

// once keeps the value that the worker uses. It does not remove a line of another file,
// which may be a package's.
func once(first, again nginxconf.Param) Fix {
	if first.File != again.File {
		return remove(again.Place).as(oneOfTwo)
	}
	return remove(first.Place).as(oneOfTwo)
}

// repeated checks for params that are set twice.
func (k *checker) repeated(p pass) {
	for i, again := range p.Params {
		first, found := find(p.Params[:i], again.Name)
		if !found {
			continue
		}
		handed := again.Name == cacheKey || again.Name == cacheStatus || again.Name == cacheServer
		switch {
		case handed:
			k.error(again.Place, paramTwice, remove(again.Place).as(oneOfTwo),
				"%s is set twice, here and in %s; uwgate stores nothing then", again.Name, first.Place)
		case again.Name == "CONTENT_LENGTH" && again.Value == "" && (k.last(p.Location.Place, "uwsgi_pass_request_body").Value == "off" || k.isForAuth(p)):
			// The way to announce no body (docs/bodies.md).
		case again.IfNotEmpty, first.IfNotEmpty, nginxconf.Canonical(first.Value) == nginxconf.Canonical(again.Value):
		default:
			k.error(again.Place, paramTwice, once(first, again),
				"%s is %s here and %s in %s; if they differ, the worker uses the last one and uwgate stores nothing", again.Name, again.Value, first.Value, first.Place)
		}
	}
}

// unasked reports GETs that reach a uwsgi_pass without a lookup. A gateway that computes
// the key treats them as misses, unless a param shows that they are not.
func (k *checker) unasked(p pass, ours *group) {
	derives := k.g.Key != "" || ours.isDerived
	ways := p.diverted()
	if !derives || len(ways) == 0 {
		return
	}
	fix := k.params(p, "uwsgi_param CACHE_STATUS "+ours.status()+";")
	fix = fix.as(fix.Text + "   # without if_not_empty")
	level, forWhom := Warning, ", which nginx never looks up"
	switch some := slices.DeleteFunc(slices.Clone(ways), func(u nginxconf.Unasked) bool { return !u.Sometimes }); {
	case len(some) > 0:
		level, forWhom, ways = Error, forEverybody, some
	case ours.takesMisses(p):
		level = Note
	}
	k.add(level, p.Place, diverted, fix, "%s", p.comesUnasked(ways, forWhom))
}

// diverted returns the ways on which GETs come without a lookup, unless a param shows
// that.
func (p pass) diverted() []nginxconf.Unasked {
	if p.shows() || !mayBeGET(p.If.Value) {
		return nil
	}
	return p.Unasked
}

// whence names the first few directives that send requests on without a lookup.
func whence(ways []nginxconf.Unasked) string {
	var by []string
	for _, u := range ways {
		if !u.IsZero() && len(by) < 3 {
			by = append(by, u.Value+" of "+u.Place.String())
		}
	}
	if len(by) == 0 {
		return ""
	}
	return " (" + join(by) + ")"
}

// shows reports whether a param shows the gateway that there was no lookup: an empty
// status, or no key.
func (p pass) shows() bool {
	status, ok := find(p.Params, cacheStatus)
	if ok && (!status.IfNotEmpty || isFetchStatus(status.Value)) {
		return true
	}
	key, ok := find(p.Params, cacheKey)
	return ok && (!key.IfNotEmpty || !key.Set.IsZero())
}

// mayBeGET reports whether GETs can meet the condition of an `if`.
func mayBeGET(condition string) bool { return mayBe("GET", condition) }

// mayBe evaluates conditions on the method. Any method may meet other conditions.
func mayBe(method, condition string) bool {
	met, known := nginxconf.MethodMeets(method, condition)
	return met || !known
}

// madeOf are the params from which the gateway computes nginx's variables, and the values
// that these params must have.
var madeOf = map[string]struct{ param, value string }{
	"request_uri":     {"REQUEST_URI", "$request_uri"},
	"uri":             {"PATH_INFO", "$uri"},
	"args":            {"QUERY_STRING", "$args"},
	"is_args":         {"QUERY_STRING", "$args"},
	"request_method":  {"REQUEST_METHOD", "$request_method"},
	"scheme":          {"REQUEST_SCHEME", "$scheme"},
	"https":           {"HTTPS", "$https"},
	"server_name":     {"SERVER_NAME", "$server_name"},
	"server_port":     {"SERVER_PORT", "$server_port"},
	"server_protocol": {"SERVER_PROTOCOL", "$server_protocol"},
	"remote_addr":     {"REMOTE_ADDR", "$remote_addr"},
	"remote_port":     {"REMOTE_PORT", "$remote_port"},
	"content_type":    {"CONTENT_TYPE", "$content_type"},
	"content_length":  {"CONTENT_LENGTH", "$content_length"},
	"document_root":   {"DOCUMENT_ROOT", "$document_root"},
}

// keyParams checks the params from which the gateway computes the key.
func (k *checker) keyParams(l Lookup) {
	if !l.isDerived() || !l.misses().has("REQUEST_METHOD") {
		return // which is another finding
	}
	for _, name := range nginxconf.Variables(l.asked()) {
		switch made, ok := madeOf[name]; {
		case ok:
			k.keyParam(l, name, made.param, made.value)
		case strings.HasPrefix(name, "arg_"):
			k.keyParam(l, name, "QUERY_STRING", "$args")
		case name == "host" && l.misses().has("HTTP_HOST"):
			k.keyParam(l, name, "HTTP_HOST", "$host", "$http_host", "$host:$server_port")
		case name == "http_host" && l.misses().has("HTTP_HOST"):
			k.keyParam(l, name, "HTTP_HOST", "$http_host")
		}
	}
}

// keyParam checks the param for one variable of the key. The last param of that name must
// have one of the values. Other params of the name are another finding.
func (k *checker) keyParam(l Lookup, name, param string, values ...string) {
	fix := k.params(l.misses(), "uwsgi_param "+param+" "+values[0]+";")
	got, found := find(l.Misses.Params, param)
	switch {
	case !found:
		k.add(k.absent(), l.Misses.Place, keyParams, fix,
			"uwgate computes $%s of the key from %s, which is not sent from here; nothing is stored", name, param)
	case !slices.Contains(values, nginxconf.Canonical(got.Value)):
		k.error(got.Place, keyParams, fix.as(fix.Text+"   # or hand CACHE_KEY over"),
			"uwgate computes $%s of the key from %s, which is %s: it stores pages where nginx does not look", name, param, got.Value)
	}
}

// hosts checks for hosts that a client can make the application believe although the key
// has another one. The gateway does not store such pages.
func (k *checker) hosts(l Lookup) {
	if l.Misses == nil || l.Key.Late != "" {
		return
	}
	names := nginxconf.Variables(l.asked())
	if len(names) == 0 {
		return
	}
	if slices.Contains(names, "host") {
		param, ok := find(l.Misses.Params, "HTTP_HOST")
		if !ok || nginxconf.Canonical(param.Value) == "$http_host" {
			k.warning(l.misses().at(param.Place), httpHost, k.params(l.misses(), "uwsgi_param HTTP_HOST $host;"),
				"the key has $host, but the application gets the client's own Host header; if they differ, as for `Host: example.com:81`, nothing is stored")
		}
		return
	}
	if len(l.opaque()) > 0 || slices.Contains(names, "http_host") || k.allowsWithoutHost(l) {
		return
	}
	host := "example.com"
	if len(l.Names) > 0 && !strings.ContainsAny(l.Names[0], "*~_") {
		host = strings.TrimPrefix(l.Names[0], ".")
	}
	fix, has := give(Flag{"allowed-host", host}), "has no host"
	if slices.Contains(names, "server_name") {
		fix = k.setKey(l, nginxconf.Quote(replaced(l.asked(), "server_name", nginxconf.ParseExpression("$host"))))
		has = "has $server_name, which is the same for every requested host"
	}
	k.error(l.at(l.Key.Place), keyWithoutHost, fix,
		"the key %s %s: a page for an invented host would be served to everybody, so nothing is stored", l.asked(), has)
}

// allowsWithoutHost reports whether the key needs no variable for the host: it has the
// host as text, or --allowed-host names the only one.
func (k *checker) allowsWithoutHost(l Lookup) bool {
	for _, p := range nginxconf.ParseExpression(l.asked()) {
		isThere := func(host string) bool { return strings.Contains(host, ".") && strings.Contains(p.Text, host) }
		if !p.IsVariable && slices.ContainsFunc(slices.Concat(l.Names, k.g.AllowedHosts), isThere) {
			return true
		}
	}
	if len(k.g.AllowedHosts) != 1 || strings.Contains(k.g.AllowedHosts[0], "*") {
		_, isKnown := l.Template()
		return len(k.g.AllowedHosts) > 0 && !isKnown
	}
	return true
}

// keyParts checks for schemes that the application sees and the key does not have.
func (k *checker) keyParts(l Lookup) {
	if l.Misses == nil || l.Key.Late != "" || len(l.opaque()) > 0 {
		return
	}
	names := nginxconf.Variables(l.asked())
	has := func(name string) bool { return slices.Contains(names, name) }
	at := l.at(l.Key.Place)
	k.constantScheme(l)
	if k.g.TrustForwardedProto && has("scheme") && !has("http_x_forwarded_proto") {
		k.warning(at, keyScheme, k.schemeFix(l),
			"the key has $scheme, but with --trust-forwarded-proto the application uses X-Forwarded-Proto; if they differ, nothing is stored")
	}
}

// withArgs adds the arguments after $uri.
func withArgs(key string) string {
	var all nginxconf.Expression
	for _, p := range nginxconf.ParseExpression(key) {
		all = append(all, p)
		if p.IsVariable && nginxconf.Canonical("$"+p.Text) == "$uri" {
			all = append(all, nginxconf.Piece{Text: "is_args", IsVariable: true}, nginxconf.Piece{Text: "args", IsVariable: true})
		}
	}
	return all.String()
}

// visitors compares the map of $visitor in a key with the map for the gateway's flags.
func (k *checker) visitors(l Lookup) {
	variable, ok := l.visitor()
	if !ok {
		return
	}
	got, found := k.config.Map(variable)
	if !found {
		return
	}
	printed, ok := k.printedMaps(strings.TrimPrefix(strings.TrimPrefix(variable, visitor), "_"))
	if !ok {
		return
	}
	if _, ok := printed.Map(variable); !ok || k.separatesAsPrinted(variable, printed) {
		return
	}
	level := Warning
	if l.isDerived() {
		level = Error
	}
	k.add(level, got.Place, visitorDiffers, k.visitorFix(variable, got, printed),
		"this map of $visitor differs from uwgate's flags for cookies: nginx and uwgate disagree on who is a stranger, so uwgate stores pages where nginx does not look")
}

// at returns the place, or that of the pass if the place is zero.
func (p pass) at(at nginxconf.Place) nginxconf.Place {
	if at.IsZero() {
		return p.Place
	}
	return at
}

// maxMissing is the number of cookies that a finding names.
const maxMissing = 5

// members checks the promise that nginx looks up no request with an identity cookie.
func (k *checker) members(l Lookup) {
	if !k.g.VaryCookieAnonymous {
		return
	}
	var missing, doubted, unknown []string
	for _, glob := range k.g.IdentityCookies {
		switch asks := k.treats(l, glob).asks; {
		case !asks.may:
		case asks.is():
			missing = append(missing, glob)
		default:
			doubted, unknown = append(doubted, glob), union(unknown, asks.unknown)
		}
	}
	if len(missing) > 0 {
		k.error(l.Place, membersLookedUp, k.membersFix(l),
			"--vary-cookie anonymous says that nginx does not look up requests with an identity cookie, but it looks up those with %s; logged-in users get the pages of strangers", join(firstFew(missing)))
	}
	if len(doubted) > 0 {
		k.warning(l.Place, membersLookedUp, k.membersFix(l),
			"--vary-cookie anonymous says that nginx does not look up requests with an identity cookie. Whether it looks up those with %s depends on %s, which check cannot evaluate", join(firstFew(doubted)), join(firstFew(unknown)))
	}
}
