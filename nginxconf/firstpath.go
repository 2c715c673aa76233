package nginxconf

import (
	"slices"
	"strings"
)

// A pathMemory is what expressions have to do with a path that nginx remembers. A map that
// gives `$uri` is evaluated once for each request, and keeps its value when the path changes.
// A map of it and of `$uri` finds out whether the path has changed, as $is_part of the
// printed configuration does for subrequests.
type pathMemory struct {
	remembers bool // it has such a map: nginx evaluates that now at the latest
	compares  bool // it has a map of both
}

// memoryOf returns that of an expression, or of the words of an `if`.
func (b *builder) memoryOf(words ...string) (m pathMemory) {
	for _, word := range words {
		for _, name := range Variables(word) {
			own := b.memoryOfVariable(name, maxMaps)
			m.remembers, m.compares = m.remembers || own.remembers, m.compares || own.compares
		}
	}
	return m
}

func (b *builder) memoryOfVariable(name string, depth int) (m pathMemory) {
	if m, known := b.memories[name]; known {
		return m
	}
	made := b.defs.other[name]
	if made.Kind != "map" || depth == 0 {
		return pathMemory{}
	}
	names := Variables(made.Value)
	for _, words := range made.lines {
		names = append(names, Variables(words[len(words)-1])...)
		m.remembers = m.remembers || made.isKept() && len(words) == 2 && Canonical(words[1]) == "$uri"
	}
	for _, inner := range names {
		own := b.memoryOfVariable(inner, depth-1)
		m.compares = m.compares || own.compares || own.remembers && slices.Contains(Variables(made.Value), "uri")
		m.remembers = m.remembers || own.remembers
	}
	b.memories[name] = m
	return m
}

// isKept reports whether nginx evaluates a map once for each request.
func (d definition) isKept() bool {
	return !slices.ContainsFunc(d.lines, func(words []string) bool { return len(words) == 1 && words[0] == "volatile" })
}

// sees runs the directive for a path that nginx remembers.
func (v visit) sees(m pathMemory) visit {
	if m.remembers && !v.isRemembered {
		v.isRemembered, v.since = true, nil
	}
	if m.compares {
		v.differs = v.since
	}
	return v
}

// compared records what has changed the path of requests since nginx remembered it.
func (l *Lookup) compared(differs *directive) {
	if differs == nil || differs.name != "try_files" && differs.name != "rewrite" {
		return
	}
	if isMany := isConstant(differs); l.Differs.IsZero() || isMany && !l.DiffersForMany {
		l.Differs, l.DiffersForMany = first(Text{}, differs), isMany
	}
}

// settleDiffers decides whether the pages of the lookup's location come there with the path
// that they began with: then Differs is about others, such as missing files. A location that
// is only the target of the change, such as /index.php, has no pages of its own.
func (l *Lookup) settleDiffers() {
	location := l.scope.location()
	if !l.DiffersForMany || !l.isPlain || location.find("internal") != nil {
		return
	}
	path := location.match.path
	isOfPages := !location.match.isRegex() && location.match.modifier != "=" && strings.HasSuffix(path, "/")
	if isOfPages && !slices.Contains(strings.FieldsFunc(l.Differs.Value, func(r rune) bool { return strings.ContainsRune(" ?`", r) }), path) {
		l.DiffersForMany, l.DiffersElsewhere = false, true
	}
}
