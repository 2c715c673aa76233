package nginxconf

import (
	"regexp"
	"slices"
	"strings"
)

// headers returns the add_header directives in force, and those that do not count.
func (b *builder) headers(s *scope) (in, lost []AddHeader) {
	inForce, outer := s.addHeaders()
	return b.addHeaders(inForce), b.addHeaders(outer)
}

// addHeaders are inherited all together or not at all, unless add_header_inherit (nginx
// 1.29.3) says otherwise.
func (s *scope) addHeaders() (in, lost []*directive) {
	if s == nil {
		return nil, nil
	}
	in, lost = s.outer.addHeaders()
	own := s.own("add_header")
	switch how := s.find("add_header_inherit").arg(0); {
	case how == "merge":
		return slices.Concat(in, own), lost
	case how != "off" && len(own) == 0:
		return in, lost
	}
	return own, slices.Concat(lost, in)
}

func (b *builder) addHeaders(ds []*directive) []AddHeader {
	var headers []AddHeader
	for _, d := range ds {
		values, _ := b.defs.onHit(ParseExpression(d.arg(1)), maxMaps)
		headers = append(headers, AddHeader{d.Place, d.arg(0), d.arg(1), d.arg(2) == "always", values})
	}
	return headers
}

// More maps of maps, or more values, than this are not followed.
const (
	maxMaps   = 8
	maxValues = 32
)

// onHit returns the values that the expression can have on a hit, unless they cannot be
// known. A hit is no response of an HTTP server, so $upstream_http_… are empty.
func (defs *definitions) onHit(e Expression, depth int) (values []string, known bool) {
	values = []string{""}
	for _, p := range e {
		some := []string{p.Text}
		if p.IsVariable {
			some, known = defs.variableOnHit(Lower(p.Text), depth)
			if !known {
				return nil, false
			}
		}
		values = combine(values, some)
		if len(values) > maxValues {
			return nil, false
		}
	}
	return values, true
}

func combine(heads, tails []string) (values []string) {
	for _, head := range heads {
		for _, tail := range tails {
			if s := head + tail; !slices.Contains(values, s) {
				values = append(values, s)
			}
		}
	}
	return values
}

func (defs *definitions) variableOnHit(name string, depth int) (values []string, known bool) {
	for _, prefix := range []string{"upstream_http_", "upstream_cookie_", "upstream_trailer_"} {
		if strings.HasPrefix(name, prefix) {
			return []string{""}, true
		}
	}
	made, ok := defs.other[name]
	if !ok || made.Kind != "map" || depth == 0 {
		return nil, false
	}
	results := made.by.allResults()
	if sources, known := defs.onHit(ParseExpression(made.Value), depth-1); known {
		results = nil
		for _, source := range sources {
			result, known := defs.mapOf(made.by, source)
			if !known {
				return nil, false
			}
			results = append(results, result)
		}
	}
	for _, result := range results {
		some, known := defs.onHit(ParseExpression(result), depth-1)
		if !known {
			return nil, false
		}
		values = append(values, some...)
	}
	slices.Sort(values)
	return slices.Compact(values), true
}

// allResults returns all values that a map can give.
func (d *directive) allResults() (results []string) {
	hasDefault := false
	for _, line := range d.block {
		if len(line.args) == 1 {
			results = append(results, line.args[0])
			hasDefault = hasDefault || line.name == "default"
		}
	}
	if !hasDefault {
		results = append(results, "")
	}
	return results
}

// mapOf returns what a map gives for a text (ngx_http_map_find). It is not known if the
// map has hostnames, or a regex that Go cannot read.
func (defs *definitions) mapOf(d *directive, source string) (result string, known bool) {
	byDefault := ""
	var regexes []*directive
	for _, line := range d.block {
		key := line.name
		switch {
		case key == "hostnames" && len(line.args) == 0:
			return "", false
		case len(line.args) != 1:
		case key == "default":
			byDefault = line.args[0]
		case strings.HasPrefix(key, "~"):
			regexes = append(regexes, line)
		case strings.EqualFold(strings.TrimPrefix(key, `\`), source):
			return line.args[0], true
		}
	}
	for _, line := range regexes {
		re := defs.regex(mapRegex(line.name))
		if re == nil {
			return "", false
		}
		if groups := re.FindStringSubmatch(source); groups != nil {
			return withCaptures(line.args[0], re, groups), true
		}
	}
	return byDefault, true
}

// withCaptures writes what a regex has captured in the place of its variables. A text with a
// dollar sign would be read as another variable, so its variable stays.
func withCaptures(result string, re *regexp.Regexp, groups []string) string {
	if !strings.Contains(result, "$") {
		return result
	}
	e := ParseExpression(result)
	for i, p := range e {
		group := slices.IndexFunc(re.SubexpNames(), func(name string) bool { return name != "" && strings.EqualFold(name, p.Text) })
		if isCapture(p.Text) {
			group = int(p.Text[0] - '0')
		}
		if p.IsVariable && 0 < group && group < len(groups) && !strings.Contains(groups[group], "$") {
			e[i] = Piece{Text: groups[group]}
		}
	}
	return slices.DeleteFunc(e, func(p Piece) bool { return p == Piece{} }).String()
}

// mapRegex returns the regex of a key such as "~^a" or "~*^a".
func mapRegex(key string) string {
	if re, ok := strings.CutPrefix(key, "~*"); ok {
		return "(?i)" + re
	}
	return key[1:]
}
