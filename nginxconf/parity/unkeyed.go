package parity

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/uwsgi"
)

// unkeyed finds params that the application gets and that say something else than the key,
// or something that the key does not contain. It asks the policy about sample requests.
func (k *checker) unkeyed(l Lookup) {
	at := l.at(l.Key.Place)
	isWrong := func(code Code) bool { return k.found.hasAt(at, code) }
	if l.Misses == nil || l.Key.Late != "" || !l.Never.IsZero() || slices.ContainsFunc([]Code{keyAmbiguous, keyPartial, keyConstant, keyUnseen, keyWithoutHost}, isWrong) {
		return
	}
	s := k.sample(l)
	ways, ok := k.config.Misses(l.Lookup, s.value)
	if !ok || len(ways) == 0 {
		return // which are other findings
	}
	for _, param := range l.Misses.Params {
		last, _ := find(l.Misses.Params, param.Name)
		isOwnHeader := strings.HasPrefix(param.Name, "HTTP_") && nginxconf.Canonical(param.Value) == "$"+nginxconf.Lower(param.Name)
		isJudged := !strings.HasPrefix(param.Name, "CACHE_") && (!isOwnHeader || param.Name == "HTTP_HOST")
		if last.Place == param.Place && k.refusedEmpty(l, param) {
			continue
		}
		if last.Place == param.Place && isJudged && !k.found.hasAt(param.Place, keyParams) {
			k.unkeyedParam(l, param, ways)
		}
	}
}

// value returns what a variable of nginx is in the request.
func (s sample) value(variable string) (value string, known bool) {
	value, known = s[nginxconf.Variables("$" + variable)[0]]
	return value, known
}

// A telling is what the application gets as the value of a param under a key, and what the
// gateway makes of that.
type telling struct {
	value, key string
	reason     policy.Reason // for which it refuses all pages; "": it does not
	isUnknown  bool          // it stores no pages without a lifetime of their own
}

// tellings returns what the param is in sample requests. The requests have the same URL.
func (k *checker) tellings(l Lookup, param nginxconf.Param, ways []nginxconf.Miss) (all []telling) {
	for _, way := range ways {
		value := way.Value(param.Value)
		key := k.samples(way.Key, k.sample(l))[0]
		same := way.Key + k.keyed(l, way.Assumed)
		for _, value := range k.told(l, value) {
			t := telling{value: value, key: same}
			t.reason, t.isUnknown = k.judge(l, param, key, value)
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}

// keyed returns the assumptions about what is in the key: then the keys differ, too.
func (k *checker) keyed(l Lookup, assumed []nginxconf.Assumption) (all string) {
	for _, a := range assumed {
		if !k.isFree(l, a.On) {
			all += "|" + a.On + a.Value + map[bool]string{true: "+"}[a.Met]
		}
	}
	return all
}

// told returns some values of an expression in requests with one key.
func (k *checker) told(l Lookup, expression string) (all []string) {
	for n := range maxSamples {
		var value strings.Builder
		for _, p := range nginxconf.ParseExpression(nginxconf.Canonical(expression)) {
			text := p.Text
			if p.IsVariable {
				values := k.toldBy(l, p.Text)
				text = values[min(n, len(values)-1)]
			}
			value.WriteString(text)
		}
		if slices.Contains(all, value.String()) {
			break
		}
		all = append(all, value.String())
	}
	return all
}

// toldBy returns some values of a variable in requests with one key.
func (k *checker) toldBy(l Lookup, variable string) []string {
	values := k.values(variable, k.sample(l))
	switch isMade := values[0] != unknownValue; {
	case !k.isFree(l, "$"+variable):
		return values[:1]
	case isMade:
		return values
	}
	return []string{"", unknownValue}
}

// isFree reports whether an expression depends on what the visitor sends, or is, and the
// key does not contain. If the key is made of the same, the two may well go together.
func (k *checker) isFree(l Lookup, expression string) bool {
	known := k.eval.sourcesAt(l, l.asked())
	return slices.ContainsFunc(nginxconf.Variables(expression), func(name string) bool {
		return !(l.knows(name) && k.hasValueAt(l, name)) && slices.ContainsFunc(k.eval.sourcesIn(l.Server, "$"+name), func(source string) bool { return isOfVisitor(source) && !slices.Contains(known, source) })
	})
}

// hasValueAt reports whether a variable of the key may have a value where pages are looked
// up: it is not one that only a `set` behind the lookup makes.
func (k *checker) hasValueAt(l Lookup, variable string) bool {
	_, isDefined := k.config.Definition(variable)
	return isDefined || !k.config.IsSet(variable) || len(k.config.SetsBefore(l.Lookup, variable)) > 0
}

// isOfVisitor reports whether visitors to one URL differ in the variable.
func isOfVisitor(name string) bool {
	if name == "http_host" {
		return false
	}
	return name == "remote_addr" || name == "binary_remote_addr" || name == "remote_user" ||
		slices.ContainsFunc([]string{"http_", "cookie_", "ssl_client_", "geoip"}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// judge returns what the gateway makes of a request for which nginx sends the param with
// that value.
func (k *checker) judge(l Lookup, param nginxconf.Param, key, value string) (reason policy.Reason, isUnknown bool) {
	s := k.sample(l)
	if k.reasonFor(l, s, key) != "" {
		return "", false // whatever the param is
	}
	status := "404"
	if l.hasHead() {
		status = "MISS"
	}
	vars := s.vars(key, status)
	if value != "" || !param.IfNotEmpty {
		vars = vars.Set(uwsgi.Var{Name: param.Name, Value: value})
	}
	p := policy.Policy{Visitors: k.g.Visitors, TrustedHeaders: k.g.TrustedHeaders, Keys: policy.Keys{AllowedHosts: k.g.AllowedHosts, AllowRewrites: k.g.AllowRewrites}, Lifetimes: policy.Lifetimes{Default: time.Minute}}
	return p.Request(vars).Reason, p.AtFault(vars, nil, unknownOf(param.Name)) == flagName(param.Name)
}

// unknownOf is the reason for which pages need a lifetime of their own, if the gateway does
// not know a param.
func unknownOf(name string) policy.Reason {
	if strings.HasPrefix(name, "HTTP_") {
		return policy.UnknownHeader
	}
	return policy.UnknownVar
}

// harmlessFlag says that no page depends on a param.
func harmlessFlag(name string) Flag {
	if strings.HasPrefix(name, "HTTP_") {
		return Flag{"trusted-header", flagName(name)}
	}
	return Flag{"harmless-var", name}
}

// flagName is what flags call a param: that of a header has the header's name.
func flagName(name string) string {
	header, isHeader := strings.CutPrefix(name, "HTTP_")
	if !isHeader {
		return name
	}
	words := strings.Split(strings.ToLower(header), "_")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "-")
}

// refusedEmpty reports a header of credentials or of an identity that nginx sends for every
// visitor, for strangers without a value: the gateway then takes all for logged-in users.
func (k *checker) refusedEmpty(l Lookup, param nginxconf.Param) bool {
	names := nginxconf.Variables(param.Value)
	if len(names) != 1 || !strings.HasPrefix(param.Name, "HTTP_") || param.IfNotEmpty || !isOfVisitor(names[0]) || !nginxconf.HasOnlyVariables(param.Value) {
		return false
	}
	vars := k.sample(l).vars(k.samples(l.asked(), k.sample(l))[0], l.missStatus())
	usual, reason := k.reasonOfPage(vars), k.reasonOfPage(vars.Set(uwsgi.Var{Name: param.Name}))
	if usual != policy.DefaultTTL || reason == usual || reason == policy.UnknownHeader {
		return false
	}
	k.error(param.Place, paramRefused, replace(param.Place, strings.TrimSuffix(k.line(param.Place), ";")+" if_not_empty;"),
		"nginx sends %s for all requests, also without a value: uwgate stores no page (reason %s)", flagName(param.Name), reason)
	return true
}

// reasonOfPage returns what the gateway makes of a plain page without a lifetime of its own.
func (k *checker) reasonOfPage(v uwsgi.Vars) policy.Reason {
	p := policy.Policy{
		Visitors: k.g.Visitors, TrustedHeaders: k.g.TrustedHeaders,
		Keys:      policy.Keys{AllowedHosts: k.g.AllowedHosts, AllowRewrites: k.g.AllowRewrites},
		Lifetimes: policy.Lifetimes{Default: time.Minute},
	}
	r := &uwsgi.Response{StatusCode: 200, ContentLength: 5, Header: uwsgi.Header{{Name: "Content-Type", Value: defaultHitType}, {Name: "Content-Length", Value: "5"}}}
	return p.Response(v, p.Request(v), r, time.Time{}).Reason
}

// missStatus is the CACHE_STATUS of a miss.
func (l Lookup) missStatus() string {
	if l.hasHead() {
		return "MISS"
	}
	return "404"
}

// unkeyedParam reports what the gateway makes of a param.
func (k *checker) unkeyedParam(l Lookup, param nginxconf.Param, ways []nginxconf.Miss) {
	all := k.tellings(l, param, ways)
	isConstant := len(nginxconf.Variables(param.Value)) == 0
	isScheme := param.Name == "HTTPS" || param.Name == "REQUEST_SCHEME"
	never, reason := refusesAll(all)
	one, other, differ := differing(all)
	if !differ && !isConstant {
		one, other, differ = k.apart(l, param)
	}
	differ = differ && !k.isKept(l, param.Value)
	isUnknown := slices.ContainsFunc(all, func(t telling) bool { return t.isUnknown })
	switch {
	case isConstant && isScheme: // see constantScheme
	case never:
		k.error(param.Place, paramRefused, k.usualParam(l, param),
			"the application gets %s as %s, which is not what the key %s says: uwgate stores no page (reason %s)", param.Value, param.Name, l.asked(), reason)
	case isConstant, isOfURL(param.Name), describesVisitor(param.Name), !isUnknown && k.isOwnHeader(l, param):
	case isUnknown && differ:
		fix := k.keyedFix(l, param, ways)
		k.warning(param.Place, paramUnkeyed, fix.as(fix.Text+"   # or "+harmlessFlag(param.Name).String()+", if no page depends on it"),
			"%s (%s) differs between visitors, and the key %s does not contain it: uwgate stores a page only if the application gives it a lifetime (reason %s), and then for all of them", param.Name, param.Value, l.asked(), unknownOf(param.Name))
	case isUnknown:
		k.warning(param.Place, paramUnknown, give(harmlessFlag(param.Name)),
			"uwgate does not know %s, and does not know that the key contains it: it stores a page only if the application gives it a lifetime (reason %s)", param.Name, unknownOf(param.Name))
	case differ:
		k.error(param.Place, paramUnkeyed, k.keyedFix(l, param, ways),
			"%s (%s) differs between visitors, such as %q and %q, and the key %s does not contain it: all visitors get the page of the first one", param.Name, param.Value, one, other, l.asked())
	}
}

// isKept reports whether an expression has only maps that the key has, too: nginx evaluates
// them once for each request, so they are what the key says.
func (k *checker) isKept(l Lookup, expression string) bool {
	names := nginxconf.Variables(expression)
	return len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool {
		m, isMap := k.config.Map(name)
		isVolatile := func(words []string) bool { return len(words) == 1 && words[0] == "volatile" }
		return !isMap || !l.knows(name) || slices.ContainsFunc(m.Lines, isVolatile)
	})
}

// refusesAll reports whether the gateway stores no page whatever the param is.
func refusesAll(all []telling) (refuses bool, reason policy.Reason) {
	for _, t := range all {
		if !isMismatch(t.reason) || t.reason == "" {
			return false, ""
		}
		reason = t.reason
	}
	return len(all) > 0, reason
}

// isMismatch reports whether the application sees something else than the key has.
func isMismatch(reason policy.Reason) bool {
	return slices.Contains([]policy.Reason{"", policy.Host, policy.Scheme, policy.Rewritten, policy.Arguments}, reason)
}

// differing returns two values under one key. The page of one of them is stored.
func differing(all []telling) (one, other string, differ bool) {
	for _, t := range all {
		for _, u := range all {
			if t.key == u.key && t.value != u.value && t.reason == "" && isMismatch(u.reason) {
				return t.value, u.value, true
			}
		}
	}
	return "", "", false
}

// isOfURL reports whether the gateway compares the param with the key of each request.
func isOfURL(name string) bool {
	return name == "QUERY_STRING" || name == "REQUEST_URI" || name == "PATH_INFO"
}

// describesVisitor reports whether a param describes the client or its connection. No page
// depends on it, as on the headers of the same names.
func describesVisitor(name string) bool {
	return slices.ContainsFunc([]string{"REMOTE_", "X_", "REAL", "REQUEST_ID", "REQUEST_TIME", "UNIQUE_ID", "PROXY_PROTOCOL_", "SSL_", "CONTENT_", "CONNECTION", "HTTP2", "HTTP3", "UWSGI_"},
		func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// isOwnHeader reports whether a param is a header that describes the client or its request, or
// that nginx makes of the client's header of that name alone. The application says on which
// of these its pages depend.
func (k *checker) isOwnHeader(l Lookup, param nginxconf.Param) bool {
	name, isHeader := strings.CutPrefix(param.Name, "HTTP_")
	if !isHeader || name == "HOST" {
		return false
	}
	own := "http_" + nginxconf.Lower(name)
	isOther := func(source string) bool { return isOfVisitor(source) && source != own }
	return clientHeader.MatchString(name) || !slices.ContainsFunc(k.eval.sourcesIn(l.Server, param.Value), isOther)
}

// clientHeader matches headers on which no page depends, or of which the gateway knows what
// they do.
var clientHeader = regexp.MustCompile(`(^|_)(IP|IPV[46]|FORWARDED|FOR|ADDR|ADDRESS|PORT|REQUEST_ID|TRACE|TRACEPARENT)(_|$)|^(CONNECTION|UPGRADE|COOKIE|AUTHORIZATION|REFERER|ORIGIN|FROM|ACCEPT_ENCODING|IF_\w+|RANGE|CONTENT_\w+|TRANSFER_ENCODING|TE)$`)

// usualParam gives a param the value that nginx's own uwsgi_params give it.
func (k *checker) usualParam(l Lookup, param nginxconf.Param) Fix {
	if param.Name == "HTTP_HOST" {
		return k.params(l.misses(), "uwsgi_param HTTP_HOST $host;")
	}
	for _, usual := range madeOf {
		if usual.param == param.Name {
			return k.params(l.misses(), "uwsgi_param "+param.Name+" "+usual.value+";")
		}
	}
	return manual("remove the line", "only you know whether the application needs it")
}

// keyedFix puts the value of the param into the key.
func (k *checker) keyedFix(l Lookup, param nginxconf.Param, ways []nginxconf.Miss) Fix {
	key := param.Value + "|" + l.asked()
	if _, isSeen := k.unseenIn(l, key, policy.Rewritten); !isSeen { // it has slashes
		key = l.asked() + "|" + param.Value
	}
	fix := k.setKey(l, nginxconf.Quote(key))
	isScheme := param.Name == "HTTPS" || param.Name == "REQUEST_SCHEME" // few values
	if names := nginxconf.Variables(param.Value); !isScheme && slices.ContainsFunc(names, isUnbounded) {
		return manual("map $"+names[0]+" $variant { … } with few values, `uwsgi_param "+param.Name+" $variant;`, and $variant in the key: set "+cmp.Or(l.Key.Variable, "$memcached_key")+" "+nginxconf.Quote("$variant|"+l.asked())+";",
			"only you know which values the application needs; with the header itself in the key, each visitor may have pages of their own")
	}
	isLater := func(way nginxconf.Miss) bool { return way.IsSetLater(param.Value) }
	switch {
	case slices.ContainsFunc(ways, isLater):
		return manual("set "+param.Value+" before the lookup, and put it into the key: "+fix.Text, "only you know whether it can be set there")
	case l.isDerived(), !l.Key.Asked.IsZero():
		return manual(fix.Text+"   # and hand the key over", "the key must be made before the lookup, and handed over")
	}
	return fix
}
