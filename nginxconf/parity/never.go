package parity

import (
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// reached says which requests never come to the lookup, since nginx responds to them before.
func (k *checker) reached(l Lookup) {
	if never := l.Never; !never.IsZero() {
		k.unreached(l, never)
		return
	}
	k.takenForParts(l)
	for _, leave := range l.Leaves {
		if k.isCancelled(l, leave) {
			continue
		}
		who := "requests that come as far as this"
		if !leave.If.IsZero() {
			who = "requests that meet `" + leave.If.Value + "`"
		}
		k.note(leave.Place, neverReached, Fix{},
			"nginx itself responds to %s (%s): they are never looked up, and uwgate does not see them", who, leave.Value)
	}
}

// isCancelled reports a `return 418` that is meant for an error_page of an outer level, which
// does not count, since the location has one of its own.
func (k *checker) isCancelled(l Lookup, leave nginxconf.Leave) bool {
	words := k.config.Words(leave.Place)
	own := k.level(k.config.Around(leave.Place), "error_page")
	if len(words) != 2 || words[0] != "return" || own.IsZero() {
		return false
	}
	for block := k.config.Around(own); !block.IsZero(); block = k.config.Around(block) {
		for _, page := range k.config.In(block, "error_page") {
			codes := k.config.Words(page.Place)[1:]
			if target := codes[len(codes)-1]; !slices.Contains(codes, words[1]) || k.named(l.Server, target).IsZero() {
				continue
			}
			line := k.line(page.Place)
			k.error(leave.Place, neverReached, end(own, line),
				"visitors get status %s (%s): the error_page of %s does not count here, since this location has an error_page of its own", words[1], leave.Value, page.Place)
			return true
		}
	}
	return false
}

// unreached reports a lookup that no request comes to.
func (k *checker) unreached(l Lookup, never nginxconf.Text) {
	fix := manual("remove one of the two, or look pages up in another server or location block", "only you know which of the two is meant")
	if never.Place == l.Location.Place {
		k.error(l.Place, neverReached, fix,
			"no page is looked up here: nginx sends all requests of this server elsewhere, before %s", never.Value)
		return
	}
	k.error(l.Place, neverReached, fix,
		"no page is looked up here: %s of %s takes all requests away before", never.Value, never.Place)
}

// takenForParts reports pages that are not looked up, since nginx changes their path before
// $is_part compares it with the first one.
func (k *checker) takenForParts(l Lookup) {
	m, found := k.mapOfParts(l)
	if !found && !k.divertsParts(l) || l.Differs.IsZero() || !l.isOfURL() {
		return
	}
	if l.DiffersElsewhere {
		k.note(l.Place, neverReached, Fix{},
			"%s of %s changes the path of some requests, and $is_part takes what has another path than at first for a part of a page: they are not looked up here, and not stored", l.Differs.Value, l.Differs.Place)
		return
	}
	level, who := Warning, "some pages"
	if l.DiffersForMany {
		level, who = Error, "pages"
	}
	k.add(level, l.Place, neverReached, k.partsAskedFix(l, m),
		"%s are not looked up here: %s of %s changes their path, and $%s takes what has another path than at first for a part of a page", who, l.Differs.Value, l.Differs.Place, k.partOf(m))
}

// partsAskedFix looks up requests with any path. That is right only if nginx makes no
// subrequests: these have the key of their page.
func (k *checker) partsAskedFix(l Lookup, m nginxconf.Map) Fix {
	_, isUnread := k.config.Unread()
	if isUnread || k.divertsParts(l) || len(k.config.Subrequests)+len(k.config.Programs) > 0 {
		return manual("look pages up in the location that their requests come to first", "only you know which requests are for parts of pages")
	}
	var source nginxconf.Expression
	for _, p := range nginxconf.ParseExpression(m.Source) {
		if !p.IsVariable || !k.isPart(p.Text) {
			source = append(source, p)
		}
	}
	if len(source) == 0 {
		return manual("remove the `if` with "+m.Source, "only you know what else it is for")
	}
	m.Source = source.String()
	return replace(m.Place, mapLines(k.config.Words(m.Place)[2][1:], m))
}

// partOf returns the variable of a map's source that is $is_part.
func (k *checker) partOf(m nginxconf.Map) string {
	names := nginxconf.Variables(m.Source)
	if i := slices.IndexFunc(names, k.isPart); i >= 0 {
		return names[i]
	}
	return "is_part"
}

// divertsParts reports whether an `if ($is_part)` takes requests with another path than at
// first away before the lookup, as in the printed location.
func (k *checker) divertsParts(l Lookup) bool {
	return slices.ContainsFunc(l.Diverted, func(p *nginxconf.Pass) bool {
		return k.isPart(strings.TrimPrefix(strings.Trim(p.If.Value, "() "), "$"))
	})
}
