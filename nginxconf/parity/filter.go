package parity

import (
	"maps"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// bodyFilters are the directives by which nginx changes bodies, each with the directives that
// belong to it.
var bodyFilters = map[string][]string{
	"ssi":                      {"ssi_types"},
	"sub_filter":               {"sub_filter_once", "sub_filter_types"},
	"subs_filter":              {"subs_filter_types", "subs_filter_bypass"},
	"add_before_body":          {"addition_types"},
	"add_after_body":           {"addition_types"},
	"xslt_stylesheet":          {"xslt_types", "xslt_param", "xslt_string_param"},
	"image_filter":             nil,
	"footer":                   {"footer_types"},
	"replace_filter":           {"replace_filter_types"},
	"pagespeed":                nil,
	"js_body_filter":           nil,
	"body_filter_by_lua":       nil,
	"body_filter_by_lua_file":  nil,
	"body_filter_by_lua_block": nil,
}

// block returns the block in which hits are served.
func (l Lookup) block() nginxconf.Place {
	if !l.If.IsZero() {
		return l.If.Place
	}
	return l.Location.Place
}

// block returns the block in which the requests of the pass are served.
func (p pass) block() nginxconf.Place {
	if !p.If.IsZero() {
		return p.If.Place
	}
	return p.Location.Place
}

// sides returns the uwsgi_pass directives of other locations that misses reach.
func (l Lookup) sides() (others []pass) {
	for _, p := range passesOf(l.Reached) {
		if p.Location != l.Location {
			others = append(others, p)
		}
	}
	return others
}

// filtersDiffer reports filters that change hits or misses alone.
func (k *checker) filtersDiffer(l Lookup) {
	if l.hasHead() {
		return
	}
	for _, p := range l.sides() {
		for _, name := range slices.Sorted(maps.Keys(bodyFilters)) {
			onHits, onMisses := k.filter(l.block(), name), k.filter(p.block(), name)
			switch {
			case onHits.IsZero() && !onMisses.IsZero():
				k.error(onMisses.Place, filterDiffers, k.copied(p.block(), l.Location.Place, name),
					"%s changes misses, but not hits, which do not come through this location (%s): visitors get another page from memcached", name, l.Place)
			case !onHits.IsZero() && onMisses.IsZero():
				k.error(onHits.Place, filterDiffers, k.copied(l.block(), p.Location.Place, name),
					"%s changes hits, but not misses, which nginx serves in another location (%s): the first visitor of a page gets another one", name, p.Place)
			case onHits.Value != onMisses.Value:
				k.error(onMisses.Place, filterDiffers, manual("the same "+name+" for hits and misses", "only you know which of the two is right"),
					"%s is another one for hits (%s): visitors get another page from memcached", name, onHits.Place)
			}
		}
	}
}

// filter returns the directives of a filter that is on in a block, as one text.
func (k *checker) filter(block nginxconf.Place, name string) (f nginxconf.Text) {
	var values []string
	for _, d := range k.inForce(block, name) {
		if isOn(d) && d.Value != "" || strings.Contains(name, "_by_lua") {
			values = append(values, d.Value)
			f.Place = d.Place
		}
	}
	f.Value = strings.Join(values, "\n")
	return f
}

// copied gives a block the filter that is in force in another one, with what belongs to it.
func (k *checker) copied(from, to nginxconf.Place, name string) Fix {
	if strings.Contains(name, "lua") {
		return manual("the same "+name+" for hits and misses, at server level", "check does not read code")
	}
	var lines []string
	for _, directive := range append([]string{name}, bodyFilters[name]...) {
		for _, d := range k.inForce(from, directive) {
			lines = append(lines, k.line(d.Place))
		}
	}
	return end(to, lines...).as(strings.Join(lines, "\n") + "   # in both locations, or at server level")
}

// line writes the directive of a place.
func (k *checker) line(at nginxconf.Place) string {
	words := k.config.Words(at)
	for i, word := range words[1:] {
		words[i+1] = nginxWord(word)
	}
	return strings.Join(words, " ") + ";"
}

// expires compares `expires` for hits and misses. It sets Expires and Cache-Control.
func (k *checker) expires(l Lookup) {
	if l.hasHead() {
		return
	}
	for _, p := range l.sides() {
		onHits, onMisses := k.last(l.block(), "expires"), k.last(p.block(), "expires")
		if !isOn(onHits) {
			onHits = nginxconf.Text{}
		}
		if !isOn(onMisses) {
			onMisses = nginxconf.Text{}
		}
		switch {
		case onHits.Value == onMisses.Value:
		case !onHits.IsZero() && !onMisses.IsZero():
			k.warning(onMisses.Place, headerLost, k.put(p.Location.Place, k.line(onHits.Place)),
				"misses get other Cache-Control and Expires (expires %s) than hits (expires %s of %s): browsers treat them differently", onMisses.Value, onHits.Value, onHits.Place)
		case onHits.IsZero():
			k.warning(onMisses.Place, headerLost, k.put(l.Location.Place, k.line(onMisses.Place)),
				"misses get Cache-Control and Expires here (expires %s), but hits do not: browsers treat them differently", onMisses.Value)
		default:
			k.warning(onHits.Place, headerLost, k.put(p.Location.Place, k.line(onHits.Place)),
				"hits get Cache-Control and Expires here (expires %s), but misses do not: browsers treat them differently", onHits.Value)
		}
	}
}
