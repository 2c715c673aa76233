package nginxconf

import (
	"fmt"
	"strings"
)

// key returns the key that a module takes from the variable in a scope, on all ways to the
// scope.
func (b *builder) key(s *scope, variable string) Key {
	k := b.onAllWays(s, func(w way) Key { return w.key(variable) })
	if !k.IsZero() {
		return k
	}
	for outer := s.location().outer; outer.name == "location"; outer = outer.outer {
		for _, d := range outer.own("set") {
			if variableName(d.arg(0)) == variable {
				k.Late += fmt.Sprintf("; that of %s is of the location around this one, and nginx runs only the innermost one's", d.Place)
			}
		}
	}
	return k
}

// onAllWays returns the key of the first way that has one. If other ways have other keys,
// Late or Varies says so.
func (b *builder) onAllWays(s *scope, key func(way) Key) Key {
	ways := b.ways(s)
	first := key(ways[0])
	for i, w := range ways[1:] {
		k, from := key(w), w.from
		if k.Expanded == first.Expanded && k.Late == first.Late && k.Varies == first.Varies {
			continue
		}
		if first.IsZero() {
			first, k, from = k, first, ways[i].from
		}
		switch {
		case first.Late != "":
		case k.Late != "":
			first.Late = fmt.Sprintf("for requests from %s of %s, %s", from, from.Place, k.Late)
		case first.Varies == "":
			first.Varies = fmt.Sprintf("requests from %s of %s have another one, %s", from, from.Place, asCode(k.Expanded))
		}
	}
	return first
}

// fetches returns the srcache_fetch by which the scope's requests look pages up. It is nil
// if there is none, or if the location around an `if` has the lookup.
func (s *scope) fetches() *directive {
	d := s.find("srcache_fetch")
	passes := s.last("uwsgi_pass") != nil
	switch s.name {
	case "location":
	case "if":
		passes = passes && s.location().last("uwsgi_pass") == nil
	default:
		return nil
	}
	if d != nil && (passes || s.last("srcache_fetch") != nil) {
		return d
	}
	return nil
}

// fetch describes the subrequest of srcache_fetch, which memc_pass serves.
func (b *builder) fetch(l *Lookup, s *scope, d *directive) error {
	l.Store = s.find("srcache_store").joined()
	l.Key = b.onAllWays(s, func(w way) Key { return w.fetchKey(d) })
	to := s.target(d.arg(1))
	if to == nil {
		b.gap(d, "%s: no location of this server takes %s", d, d.arg(1))
		return nil
	}
	pass := to.last("memc_pass")
	if pass == nil {
		pass = to.last("memcached_pass")
	}
	if pass == nil {
		b.gap(d, "%s leads to the location of %s, which has no memc_pass", d, to.Place)
		return nil
	}
	l.Fetch = to.asBlock()
	b.addAsked(&l.Key, s, to, d, strings.TrimSuffix(pass.name, "pass")+"key")
	return b.ask(l, to, pass)
}

// fetchKey returns the third argument of srcache_fetch.
func (w way) fetchKey(d *directive) Key {
	argument := ParseExpression(d.arg(2))
	if name, ok := argument.alone(); ok && w.vars[name] != nil {
		return w.key(name)
	}
	expanded, opaque := w.expand(argument)
	return Key{Text: Text{d.Place, d.arg(2)}, Expanded: expanded.String(), Opaque: opaque}
}

// addAsked compares the key with what memc_pass makes of it in the subrequest. There
// $query_string is the argument of srcache_fetch.
func (b *builder) addAsked(k *Key, s, to *scope, fetch *directive, variable string) {
	r := newRewriting(b.defs)
	r.fetch, r.args = fetch, ParseExpression(k.Expanded)
	r.run(to.server().directive)
	r.run(to.directive)
	asked := r.key(variable)
	if escaped, ok := r.unescaped(variable); ok {
		expanded, opaque := b.ways(s)[0].expand(escaped)
		asked.Expanded, asked.Opaque = expanded.String(), opaque
		k.Opaque = nil // escaping and back again
	}
	if asked.Late != "" && k.Late == "" {
		k.Late = "in the location of " + fetch.arg(1) + ", " + asked.Late
	}
	if asked.Expanded != k.Expanded {
		k.Asked = Text{asked.Place, asked.Expanded}
		k.Opaque = addOpaque(k.Opaque, asked.Opaque)
	}
}

// unescaped returns what set_unescape_uri makes of a variable that set_escape_uri has made:
// the value before both, as a subrequest cannot bring it otherwise.
func (r *rewriting) unescaped(variable string) (e Expression, ok bool) {
	made, ok := r.defs.other[variable]
	if !ok || made.Kind != "set_unescape_uri" {
		return nil, false
	}
	given, _ := r.expand(ParseExpression(made.Value))
	name, ok := given.alone()
	if !ok || r.defs.other[name].Kind != "set_escape_uri" {
		return nil, false
	}
	return ParseExpression(r.defs.other[name].Value), true
}

// inSubrequest returns the value of a variable of nginx's own that differs in the
// subrequest of srcache_fetch: those of path and arguments.
func (r *rewriting) inSubrequest(name string) (value Expression, ok bool) {
	switch {
	case r.fetch == nil:
		return nil, false
	case name == "query_string", name == "args":
		return r.args, true
	case name == "uri", name == "document_uri":
		return ParseExpression(r.fetch.arg(1)), true
	}
	wanted, ok := strings.CutPrefix(name, "arg_")
	if !ok {
		return nil, false
	}
	for argument := range strings.SplitSeq(r.args.String(), "&") {
		if name, value, found := strings.Cut(argument, "="); found && strings.EqualFold(name, wanted) {
			return ParseExpression(value), true
		}
	}
	return nil, true
}
