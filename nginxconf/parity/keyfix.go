package parity

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

// setKey sets the key in the location of the lookup.
func (k *checker) setKey(l Lookup, quoted string) Fix {
	if l.Key.Variable == "" && l.hasHead() {
		words := k.config.Words(l.Place)
		return replace(l.Place, strings.Join(words[:3], " ")+" "+quoted+";")
	}
	return k.put(l.Location.Place, "set "+cmp.Or(l.Key.Variable, "$memcached_key")+" "+quoted+";").and(k.handedFix(l, quoted))
}

// handedFix hands the new key over where CACHE_KEY is the expression of the key, and not the
// variable, as in the location of fragments.
func (k *checker) handedFix(l Lookup, quoted string) Fix {
	if l.Misses == nil {
		return Fix{}
	}
	param, ok := find(l.Misses.Params, cacheKey)
	isExpression := nginxconf.Canonical(param.Value) != nginxconf.Canonical(cmp.Or(l.Key.Variable, "$memcached_key"))
	if !ok || !isExpression || !l.isKey(param.Value) {
		return Fix{}
	}
	return replace(param.Place, "uwsgi_param CACHE_KEY "+quoted+onlyIf(param.IfNotEmpty, " if_not_empty")+";")
}

// keyOfURL returns a key that has the URL of the client, and not the path that nginx makes of
// it: that of the gateway, if it has the URL, or else that of the lookup, changed.
func (k *checker) keyOfURL(l Lookup) string {
	if k.g.Key == "" || slices.Contains(nginxconf.Variables(k.g.Key), "request_uri") {
		return k.quotedKey()
	}
	key := nginxconf.Canonical(l.asked())
	for _, args := range []string{"$uri$is_args$args", "$uri?$args"} {
		key = strings.Replace(key, args, "$uri", 1)
	}
	return nginxconf.Quote(replaced(key, "uri", nginxconf.ParseExpression("$request_uri")))
}

// setKeyFirst sets the key before anything can end the rewrites of the location. It keeps
// the expression that stands too late, unless the gateway has another one.
func (k *checker) setKeyFirst(l Lookup) Fix {
	if l.Key.IsEmpty && !l.hasHead() {
		return end(l.Location.Place, `if ($memcached_key = "") { uwsgi_pass `+k.missesTo(l)+"; }")
	}
	if l.Key.Variable == "" && l.hasHead() || l.Key.Late == "" {
		return k.setKey(l, k.quotedKey())
	}
	variable, quoted := cmp.Or(l.Key.Variable, "$memcached_key"), k.quotedKey()
	var late Fix
	for _, own := range k.config.In(l.Location.Place, "set") {
		words := k.config.Words(own.Place)
		if !strings.EqualFold(words[1], variable) {
			continue
		}
		if k.g.Key == "" && len(nginxconf.Variables(words[2])) > 0 {
			quoted = nginxconf.Quote(words[2])
		}
		late = late.and(remove(own.Place))
	}
	first := begin(l.Location.Place, "set "+variable+" "+quoted+";")
	return first.and(late).as(first.Text)
}

// handoverFix repeats the params of an outer level at the level that cancels them.
func (k *checker) handoverFix(p pass, l Lookup) Fix {
	f := k.params(p, l.handoverLines()...)
	return f.as(f.Text + "\n# at the level of that line, or move that line to the level of these")
}

// wholeFix puts the whole URL into the key, where uwgate sees it.
func (k *checker) wholeFix(l Lookup) Fix {
	for _, key := range []string{l.asked() + "|$uri$is_args$args", opaqueOf(l) + "|$scheme://$host$request_uri"} {
		isUnseen := func(reason policy.Reason) bool { _, isSeen := k.unseenIn(l, key, reason); return !isSeen }
		if !l.HandsKeyOver() || !slices.ContainsFunc([]policy.Reason{policy.Host, policy.Rewritten, policy.Arguments}, isUnseen) {
			return k.setKey(l, nginxconf.Quote(key))
		}
	}
	return manual("put $request_uri into the key", "only you know what else it must contain")
}

// opaqueOf returns the variables of the key that only nginx can compute.
func opaqueOf(l Lookup) string {
	var all nginxconf.Expression
	for _, v := range l.opaque() {
		all = append(all, nginxconf.Piece{Text: strings.TrimPrefix(v.Name, "$"), IsVariable: true})
	}
	return all.String()
}

// remadeFix sets the key where the lookup is, and nowhere else.
func (k *checker) remadeFix(l Lookup) Fix {
	return k.setKey(l, nginxconf.Quote(l.Key.Value)).and(remove(l.Remade.Place)).as("set the key in the location of the lookup, and nowhere else")
}

// fragmentFix gives subrequests a key of their own. It hands the expression over, since a
// subrequest sets the variable of its page.
func (k *checker) fragmentFix(l Lookup) Fix {
	key := nginxconf.Quote(replaced(l.asked(), "request_uri", nginxconf.ParseExpression("$uri$is_args$args")))
	if l.Misses == nil {
		return k.setKey(l, key)
	}
	lines := l.handoverLines()
	lines[0] = "uwsgi_param CACHE_KEY " + key + " if_not_empty;"
	return k.setKey(l, key).and(k.params(l.misses(), lines...))
}

// replaced returns the expression with other pieces in the place of a variable.
func replaced(expression, name string, others nginxconf.Expression) string {
	var all nginxconf.Expression
	for _, p := range nginxconf.ParseExpression(expression) {
		if !p.IsVariable || nginxconf.Lower(p.Text) != name {
			all = append(all, p)
			continue
		}
		all = append(all, others...)
	}
	return all.String()
}

// schemeFix makes the key with the scheme that the application sees.
func (k *checker) schemeFix(l Lookup) Fix {
	return end(k.http(l.Server), "map $http_x_forwarded_proto $visitors_scheme { default $scheme; http http; https https; }").
		and(k.setKey(l, nginxconf.Quote(replaced(l.asked(), "scheme", nginxconf.ParseExpression("$visitors_scheme")))))
}

// visitorFix writes the map of $visitor for the gateway's flags, with the maps that it is
// made of.
func (k *checker) visitorFix(variable string, got nginxconf.Map, printed printedMaps) Fix {
	want, _ := printed.Map(variable)
	f := replace(got.Place, mapLines(variable, want))
	for _, name := range mapsOf(variable, printed)[1:] {
		inner, _ := printed.Map(name)
		switch own, has := k.config.Map(name); {
		case !has:
			f = f.and(end(k.config.Around(got.Place), mapLines(name, inner)))
		case !isSameMap(own, inner):
			f = f.and(replace(own.Place, mapLines(name, inner)))
		}
	}
	return f.as(printedConfiguration)
}

// separatesAsPrinted reports whether the map of $visitor, and that of the cookies that no
// page depends on, are as they are printed. Which cookies name a visitor is for members to
// check.
func (k *checker) separatesAsPrinted(variable string, printed printedMaps) bool {
	harmless := "harmless_cookies" + strings.TrimPrefix(variable, visitor)
	return !slices.ContainsFunc([]string{variable, harmless}, func(name string) bool {
		want, _ := printed.Map(name)
		got, found := k.config.Map(name)
		return !found || !isSameMap(want, got)
	})
}

// mapsOf returns the variables of the maps of which a variable is made, itself first.
func mapsOf(variable string, c printedMaps) []string {
	all := []string{variable}
	for i := 0; i < len(all); i++ {
		m, _ := c.Map(all[i])
		names := nginxconf.Variables(m.Source)
		for _, words := range m.Lines {
			names = append(names, nginxconf.Variables(words[len(words)-1])...)
		}
		for _, name := range names {
			if _, isMap := c.Map(name); isMap && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

func isSameMap(a, b nginxconf.Map) bool {
	return a.Source == b.Source && slices.EqualFunc(a.Lines, b.Lines, slices.Equal)
}

// mapLines writes a map block.
func mapLines(name string, m nginxconf.Map) string {
	var b strings.Builder
	b.WriteString("map " + nginxconf.Quote(m.Source) + " $" + name + " {\n")
	for _, words := range m.Lines {
		b.WriteString("   ")
		for _, word := range words {
			b.WriteString(" " + nginxconf.Quote(word))
		}
		b.WriteString(";\n")
	}
	return b.String() + "}"
}

// namesOfLine is the number of cookies in one regex. nginx takes no argument of more than
// 4 kB.
const namesOfLine = 50

// membersFix keeps requests with identity cookies away from the lookup.
func (k *checker) membersFix(l Lookup) Fix {
	var lines [][]string
	for names := range slices.Chunk(k.g.IdentityCookies, namesOfLine) {
		var globs []string
		for _, name := range names {
			globs = append(globs, strings.ReplaceAll(regexp.QuoteMeta(name), `\*`, "[^=;]*"))
		}
		lines = append(lines, []string{`~*(?:^|[\s",;])(?:` + strings.Join(globs, "|") + `)\s*(?:[=",;]|$)`, "1"})
	}
	f := end(k.http(l.Server), mapLines("identity_cookie", nginxconf.Map{Source: "$http_cookie", Lines: lines}))
	if l.hasHead() {
		return f.and(k.put(l.Location.Place, "srcache_fetch_skip $identity_cookie;"))
	}
	return f.and(begin(l.Location.Place, "if ($identity_cookie) { uwsgi_pass "+k.missesTo(l)+"; }"))
}

// missesTo returns where misses go, for another uwsgi_pass.
func (k *checker) missesTo(l Lookup) string {
	if l.Misses == nil {
		return k.gatewayAddress()
	}
	return l.Misses.Upstream.Name
}

// maxMaps is how deep maps may be made of maps.
const maxMaps = 10

// divertsLong reports whether the location passes on requests for which a map of the
// variable says so, as docs/long-keys.md recommends for long ones.
func (k *checker) divertsLong(l Lookup, name string) bool {
	conditions := []string{l.Skip.Value}
	for _, p := range l.Diverted {
		conditions = append(conditions, p.If.Value)
	}
	return slices.ContainsFunc(conditions, func(condition string) bool { return k.measures(condition, name, maxMaps) })
}

// measures reports whether the expression has a map that finds out how long a variable is.
func (k *checker) measures(expression, name string, depth int) bool {
	return depth > 0 && slices.ContainsFunc(nginxconf.Variables(expression), func(variable string) bool {
		m, found := k.config.Map(variable)
		isLength := func(words []string) bool { return strings.HasPrefix(words[0], "~") && strings.Contains(words[0], "{") }
		return found && (k.eval.isMadeOf(m.Source, name) && slices.ContainsFunc(m.Lines, isLength) || k.measures(m.Source, name, depth-1))
	})
}

// longFix passes requests with a long variable on without a lookup. The gateway must see
// that there was none.
func (k *checker) longFix(l Lookup, name string) Fix {
	const text = "docs/long-keys.md: how to keep such requests away from memcached"
	if l.Misses == nil || !l.misses().shows() || !l.If.IsZero() || l.Key.Late != "" {
		return Fix{Text: text}
	}
	f := end(k.http(l.Server), `map $`+name+` $long_`+name+` { default ""; "~^.{200}" 1; }`)
	if l.hasHead() {
		return f.and(k.put(l.Location.Place, "srcache_fetch_skip $long_"+name+";")).as(text)
	}
	return f.and(begin(l.Location.Place, "if ($long_"+name+") { uwsgi_pass "+k.missesTo(l)+"; }")).as(text)
}
