package parity

import (
	"regexp"
	"slices"
	"strings"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

// oneKey finds hosts, paths and arguments that have one key although the application sees them
// apart: visitors of one get the page of the other. It makes the keys of sample requests.
func (k *checker) oneKey(l Lookup) {
	at := l.at(l.Key.Place)
	isWrong := func(code Code) bool { return k.found.hasAt(at, code) }
	if l.Misses == nil || l.Key.Late != "" || !l.Never.IsZero() || slices.ContainsFunc([]Code{keyPartial, keyConstant, keyAmbiguous, keyWithoutHost}, isWrong) {
		return
	}
	if k.partOfHost(l) {
		return
	}
	k.hostsWithOneKey(l)
	if k.pathsWithOneKey(l) {
		return
	}
	k.argumentsWithOneKey(l)
}

// hostsWithOneKey finds hosts that the key does not tell apart, but HTTP_HOST does.
func (k *checker) hostsWithOneKey(l Lookup) {
	var seen []sample
	for _, host := range k.hostsToTry(l) {
		s := l.sampleOf(host)
		for _, other := range seen {
			key, isOne := k.haveOneKey(l, other, s, isOfHost)
			if !isOne {
				continue
			}
			k.error(l.at(l.Key.Place), keyWithoutHost, k.hostFix(l),
				"the key %s is the same for %s and %s, %s, but the application sees two hosts: visitors of one get the page of the other",
				l.asked(), other["host"], host, key)
			return
		}
		seen = append(seen, s)
	}
}

// isOfHost reports whether the variable is made of the requested host.
func isOfHost(name string) bool { return name == "host" || name == "http_host" }

// hostFix puts the whole host into the key.
func (k *checker) hostFix(l Lookup) Fix {
	key := l.asked()
	for _, v := range l.opaque() {
		name := nginxconf.Lower(strings.TrimPrefix(v.Name, "$"))
		if v.Kind == "capture" || slices.ContainsFunc(k.eval.sourcesOf("$"+name), isOfHost) || v.Kind == "set" {
			key = replaced(key, name, nginxconf.ParseExpression("$host"))
		}
	}
	if key == l.asked() || !slices.Contains(nginxconf.Variables(key), "host") {
		return manual("put $host into the key, or give the application the host that is in the key: uwsgi_param HTTP_HOST …;", "only you know whether the hosts have the same pages")
	}
	fix := k.setKey(l, nginxconf.Quote(key))
	return fix.as(fix.Text + "   # or give the application the host that is in the key, with uwsgi_param HTTP_HOST")
}

// hostsToTry returns hosts that the server block takes, of which pages are stored: those
// that it names, those of the maps in the key, and some with other beginnings.
func (k *checker) hostsToTry(l Lookup) (all []string) {
	named := k.hostsOf(l)
	for _, name := range k.eval.sourcesOf(l.asked()) {
		m, _ := k.config.Map(name)
		for _, words := range m.Lines {
			if strings.Contains(words[0], ".") && !strings.ContainsAny(words[0], "~*$/") && len(words) == 2 && len(named) < maxSamples {
				named = append(named, strings.TrimPrefix(words[0], "."))
			}
		}
	}
	for _, host := range named {
		bare := strings.TrimPrefix(host, "www.")
		for _, like := range []string{host, bare, "www." + bare, "m." + bare} {
			s := l.sampleOf(like)
			if l.takes(like) && !slices.Contains(all, like) && k.reasonFor(l, s, like+s["request_uri"]) != policy.Host {
				all = append(all, like)
			}
		}
	}
	return all
}

// takes reports whether server_name fits a host.
func (l Lookup) takes(host string) bool {
	return len(l.Names) == 0 || slices.ContainsFunc(l.Names, func(name string) bool {
		if re, isRegex := strings.CutPrefix(name, "~"); isRegex {
			compiled, err := regexp.Compile("(?i)" + re)
			return err == nil && compiled.MatchString(host)
		}
		return name == "_" || fits(name, host)
	})
}

// fits reports whether a name of server_name that is no regex fits a host.
func fits(name, host string) bool {
	head, isHead := strings.CutSuffix(name, "*")
	tail, isTail := strings.CutPrefix(name, "*")
	return name == host || isHead && strings.HasPrefix(host, head) || isTail && strings.HasSuffix(host, tail) ||
		strings.HasPrefix(name, ".") && strings.HasSuffix("."+host, name)
}

// captured returns what the first regex of server_name that fits the host captures by a
// name, if no other name fits. It has nothing if the regex cannot be read.
func (l Lookup) captured(host, variable string) (value string, known bool) {
	for _, name := range l.Names {
		if !strings.HasPrefix(name, "~") && fits(name, host) {
			return "", false
		}
	}
	for _, name := range l.Names {
		re, err := regexp.Compile("(?i)" + strings.TrimPrefix(name, "~"))
		if !strings.HasPrefix(name, "~") || err != nil {
			continue
		}
		found := re.FindStringSubmatch(host)
		if i := re.SubexpIndex(variable); found != nil {
			return strings.Join(found[max(i, 0):max(i, 0)+1], ""), i >= 0
		}
	}
	return "", false
}

// argumentsWithOneKey finds arguments that the key does not contain, although requests with
// them are looked up: visitors get the page without them. uwgate stores no other.
func (k *checker) argumentsWithOneKey(l Lookup) {
	var own []string
	for _, name := range k.eval.sourcesOf(l.asked()) {
		if argument, ok := strings.CutPrefix(name, "arg_"); ok {
			own = append(own, argument+"=1")
		}
	}
	base := k.sample(l)
	one, other := base.with(strings.Join(own, "&")), base.with(strings.Join(append(own, "q4Xv9=7"), "&"))
	at := l.at(l.Key.Place)
	if key, isOne := k.haveOneKey(l, one, other, isOfArguments); isOne {
		k.warning(at, keyWithoutArgs, k.argumentsFix(l),
			"nginx looks up requests with arguments that the key %s does not contain: visitors of %s get the page of %s, whose key is %s",
			l.asked(), other["request_uri"], one["request_uri"], key)
		return
	}
	if l.knows("uri") && !l.knows("request_uri") && len(l.opaque()) == 0 && !slices.ContainsFunc(nginxconf.Variables(l.asked()), func(name string) bool { return nginxconf.IsArgs(name) && name != "is_args" }) {
		k.note(at, keyWithoutArgs, k.setKey(l, nginxconf.Quote(withArgs(l.asked()))), "the key %s has no arguments: pages of URLs with arguments are never stored", l.asked())
	}
}

// isOfArguments reports whether the variable is made of the arguments of a request.
func isOfArguments(name string) bool {
	return nginxconf.IsArgs(name) || name == "request_uri" || name == "request"
}

// argumentsFix puts the arguments into the key.
func (k *checker) argumentsFix(l Lookup) Fix {
	key := withArgs(l.asked())
	if key == l.asked() {
		key += "|$is_args$args"
	}
	fix := k.setKey(l, nginxconf.Quote(key))
	if l.hasHead() {
		return fix.as(fix.Text + "   # or skip the lookup: srcache_fetch_skip $args;")
	}
	return fix.as(fix.Text + "   # or skip the lookup: if ($args) { uwsgi_pass " + k.missesTo(l) + "; }")
}

// with returns the request with other arguments.
func (s sample) with(args string) sample {
	other := sample{}
	for name, value := range s {
		if !strings.HasPrefix(name, "arg_") {
			other[name] = value
		}
	}
	other["args"], other["is_args"], other["request_uri"] = args, onlyIf(args != "", "?"), s["uri"]+onlyIf(args != "", "?"+args)
	for argument := range strings.SplitSeq(args, "&") {
		name, value, _ := strings.Cut(argument, "=")
		other["arg_"+nginxconf.Lower(name)] = value
	}
	return other
}

// haveOneKey reports whether strangers' requests of both samples are looked up under one
// key, of which nothing is unknown that depends on what they differ in, and whether the
// application then sees two hosts, or two queries.
func (k *checker) haveOneKey(l Lookup, one, other sample, isPart func(string) bool) (key string, isOne bool) {
	ways, ok := k.missesOf(l, one)
	others, isToo := k.missesOf(l, other)
	if !ok || !isToo || len(l.Programs) > 0 {
		return "", false
	}
	for _, a := range ways {
		for _, b := range others {
			if a.Key == b.Key && !k.mayDepend(l, a, isPart) && !k.mayDepend(l, b, isPart) && !contradict(a.Assumed, b.Assumed) && k.seesApart(l, a, b, one, other) {
				return a.Key, true
			}
		}
	}
	return "", false
}

// missesOf returns the ways of a stranger's request.
func (k *checker) missesOf(l Lookup, s sample) ([]nginxconf.Miss, bool) {
	stranger := cookieHolder{k, ""}
	return k.config.Misses(l.Lookup, func(name string) (string, bool) {
		if value, known := s.value(name); known {
			return value, true
		}
		if value, known := l.captured(s["host"], name); known {
			return value, true
		}
		return stranger.value(name)
	})
}

// mayDepend reports whether the key, or a condition, of a way may depend on such variables in
// a manner that is not known.
func (k *checker) mayDepend(l Lookup, m nginxconf.Miss, isPart func(string) bool) bool {
	depends := func(expression string) bool {
		return slices.ContainsFunc(k.eval.sourcesOf(expression), func(name string) bool {
			v, found := k.config.Definition(name)
			isMade := found && (v.Kind == "map" || v.Kind == "geo" || v.Kind == "split_clients")
			isSet := name == "memc_key" || name == "memcached_key"
			return isPart(name) || isSet || !isMade && !nginxconf.IsOwn(name) && !k.isOfPath(l, name)
		})
	}
	return depends(m.Key) || slices.ContainsFunc(m.Assumed, func(a nginxconf.Assumption) bool {
		return len(nginxconf.Variables(a.On)) == 0 || depends(a.On)
	})
}

// isOfPath reports whether a variable is captured from the path alone.
func (k *checker) isOfPath(l Lookup, name string) bool {
	at, _ := k.config.Definition(name)
	for _, v := range l.opaque() {
		if v.Kind == "capture" && strings.EqualFold(v.Name, "$"+name) {
			at = v
		}
	}
	words := k.config.Words(at.Place)
	return at.Kind == "capture" && len(words) > 0 && (words[0] == "location" || words[0] == "rewrite")
}

// contradict reports whether no request meets the assumptions of both.
func contradict(one, other []nginxconf.Assumption) bool {
	return slices.ContainsFunc(one, func(a nginxconf.Assumption) bool {
		return slices.ContainsFunc(other, func(b nginxconf.Assumption) bool { return a.Text == b.Text && a.On == b.On && a.Met != b.Met })
	})
}

// seesApart reports whether the application sees what two requests differ in.
func (k *checker) seesApart(l Lookup, a, b nginxconf.Miss, one, other sample) bool {
	if one["host"] == other["host"] && one["uri"] != other["uri"] {
		sees := func(name string) bool {
			param, isGiven := find(l.Misses.Params, name)
			return isGiven && a.Value(param.Value) != b.Value(param.Value)
		}
		return sees("REQUEST_URI") || sees("PATH_INFO")
	}
	if one["host"] == other["host"] {
		query, isGiven := find(l.Misses.Params, "QUERY_STRING")
		return !isGiven || a.Value(query.Value) != b.Value(query.Value)
	}
	host, isGiven := find(l.Misses.Params, "HTTP_HOST")
	return !isGiven || a.Value(host.Value) != b.Value(host.Value)
}
