package parity

import (
	"slices"
	"strings"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

// changesMisses finds what gives visitors with one key different pages, beside the key: a
// rewrite, `set $args` or another uwsgi_pass for some of them. The page of the first one is
// stored for all. It may stand in the server block, in the location of the lookup, or where
// misses go.
func (k *checker) changesMisses(l Lookup) {
	if l.Misses == nil || l.Key.Late != "" || !l.Never.IsZero() {
		return
	}
	k.leadsApart(l)
	k.passesApart(l)
	blocks := []nginxconf.Place{l.Server.Place, l.Location.Place}
	for _, p := range l.sides() {
		blocks = append(blocks, p.Location.Place)
	}
	for _, block := range blocks {
		for _, d := range k.config.In(block, "if") {
			k.changesSome(l, block, d)
		}
		for _, d := range k.config.In(block, "") {
			k.changesByVisitor(l, block, d)
		}
	}
}

// leadsApart reports an error page that leads the misses of some visitors to another location
// than those of others, where something else is done with them.
func (k *checker) leadsApart(l Lookup) {
	page, _ := l.errorPage(404)
	names := k.config.NamedTargets(page.Target)
	if len(names) < 2 || !k.isFree(l, page.Target) {
		return
	}
	does := func(name string) (lines []string) {
		for _, d := range k.config.In(k.named(l.Server, name), "") {
			lines = append(lines, strings.Join(k.config.Words(d.Place), " "))
		}
		return lines
	}
	first := does(names[0])
	if !slices.ContainsFunc(names, func(name string) bool { return !slices.Equal(does(name), first) }) {
		return
	}
	k.error(page.Place, rewritten, k.setKey(l, nginxconf.Quote(page.Target+"|"+l.asked())),
		"misses of some visitors go to %s, and those of others to %s, and the key %s is the same for all: everybody gets the page of the first one", names[0], join(names[1:]), l.asked())
}

// passesApart reports a uwsgi_pass that sends the misses of some visitors to another server.
func (k *checker) passesApart(l Lookup) {
	for _, p := range l.Reached {
		to := p.Upstream.Name
		if !k.isFree(l, to) {
			continue
		}
		key := k.freeOf(l, to) + "|" + l.asked()
		fix := k.setKey(l, nginxconf.Quote(key))
		for _, reason := range []policy.Reason{policy.Rewritten, policy.Host} {
			if _, isSeen := k.unseenIn(l, key, reason); !isSeen || k.isMadeIn(l, p.Location.Place, to) {
				fix = manual("put what "+to+" is made of into the key, with values without slashes and dots", "uwgate looks for the host and the path in the key")
			}
		}
		k.error(p.Place, rewritten, fix,
			"`uwsgi_pass %s` sends the misses of some visitors to another server, and the key %s is the same for all: everybody gets the page of the first one", to, l.asked())
	}
}

// changesSome reports an `if` that changes the requests of some visitors.
func (k *checker) changesSome(l Lookup, block nginxconf.Place, d nginxconf.Text) {
	words := k.config.Words(d.Place)[1:]
	change := k.changeIn(l, block, d.Place)
	if _, known := nginxconf.MethodMeets("GET", d.Value); change == "" || known || !k.isFree(l, subjectOf(d.Value)) || !l.isBefore(block) && k.leavesBefore(l, d) {
		return
	}
	k.error(d.Place, rewritten, k.variantFix(l, block, words),
		"`if %s { %s; }` changes the page for some visitors, and the key %s is the same for all: everybody gets the page of the first one", conditionOf(words), change, l.asked())
}

// changesByVisitor reports a directive that changes requests by what visitors send.
func (k *checker) changesByVisitor(l Lookup, block nginxconf.Place, d nginxconf.Text) {
	words := k.config.Words(d.Place)
	if len(words) < 3 || !k.changesRequest(l, block, d.Place) || !k.isFree(l, words[2]) {
		return
	}
	from := k.freeOf(l, words[2])
	key := from + "|" + l.asked()
	fix := k.setKey(l, nginxconf.Quote(key))
	switch _, isSeen := k.unseenIn(l, key, policy.Rewritten); {
	case !isSeen:
		fix = manual("put what "+from+" is made of into the key, with values that have no slash", "uwgate looks for the path in the key")
	case k.isMadeIn(l, block, words[2]):
		fix = manual("put what "+from+" is made of into the key", "it has no value yet where pages are looked up")
	}
	k.error(d.Place, rewritten, fix,
		"`%s` changes the page by what visitors send, and the key %s does not contain that: everybody gets the page of the first one", strings.Join(words, " "), l.asked())
}

// isBefore reports whether the directives of a block run before the lookup.
func (l Lookup) isBefore(block nginxconf.Place) bool {
	return block == l.Location.Place || block == l.Server.Place
}

// isMadeIn reports whether a `set` behind the lookup makes a variable of an expression.
func (k *checker) isMadeIn(l Lookup, block nginxconf.Place, expression string) bool {
	return !l.isBefore(block) && slices.ContainsFunc(nginxconf.Variables(expression), func(name string) bool {
		inside := append([]nginxconf.Text{{Place: block}}, k.config.In(block, "if")...)
		return slices.ContainsFunc(inside, func(d nginxconf.Text) bool {
			return slices.ContainsFunc(k.config.In(d.Place, "set"), func(set nginxconf.Text) bool { return nginxconf.Lower(k.config.Words(set.Place)[1]) == "$"+name })
		})
	})
}

// changeIn returns the directive of an `if` that changes the requests that come to the
// application, or the server to which they go. "": there is none.
func (k *checker) changeIn(l Lookup, block, branch nginxconf.Place) string {
	for _, d := range k.config.In(branch, "") {
		words := k.config.Words(d.Place)
		isPass := strings.HasSuffix(words[0], "_pass") && !l.isBefore(block)
		if isPass && !k.isPassOf(block, words) || k.changesRequest(l, block, d.Place) {
			return strings.Join(words, " ")
		}
	}
	return ""
}

// isPassOf reports whether a block sends all other requests to the same server.
func (k *checker) isPassOf(block nginxconf.Place, words []string) bool {
	return slices.ContainsFunc(k.config.In(block, words[0]), func(own nginxconf.Text) bool { return slices.Equal(k.config.Words(own.Place), words) })
}

// changesRequest reports whether a directive changes path or arguments of requests that were
// looked up, or are about to be. If the key is made of these later, it has the change. A
// rewrite of the server block may also lead elsewhere.
func (k *checker) changesRequest(l Lookup, block, at nginxconf.Place) bool {
	words := k.config.Words(at)
	isSeen := l.isBefore(block) && !(l.Key.File == at.File && l.Key.Line < at.Line && k.config.Around(l.Key.Place) == block)
	switch {
	case words[0] == "set":
		return strings.EqualFold(words[1], "$args") && !(isSeen && l.knows("args"))
	case words[0] != "rewrite" || isSeen && l.knows("uri"):
		return false
	case block == l.Server.Place:
		return slices.ContainsFunc(l.Rewrites, func(own nginxconf.Text) bool { return own.Place == at })
	}
	return words[len(words)-1] == "break"
}

// freeOf returns the variables of an expression that visitors with one key differ in.
func (k *checker) freeOf(l Lookup, expression string) string {
	var all nginxconf.Expression
	for _, name := range nginxconf.Variables(expression) {
		if own := (nginxconf.Expression{{Text: name, IsVariable: true}}); k.isFree(l, own.String()) {
			all = append(all, own...)
		}
	}
	return all.String()
}

// variantFix puts into the key whether a request meets a condition of a block.
func (k *checker) variantFix(l Lookup, block nginxconf.Place, condition []string) Fix {
	bare := strings.TrimSuffix(strings.TrimPrefix(conditionOf(condition), "("), ")")
	subject, rest, isCompared := strings.Cut(bare, " ")
	operator, _, _ := strings.Cut(rest, " ")
	lines := `default 1; "" ""; 0 "";`
	if isCompared {
		operand := strings.TrimSpace(strings.TrimPrefix(strings.TrimSuffix(strings.Join(condition, " "), ")"), "("))
		_, operand, _ = strings.Cut(operand, " "+operator+" ")
		met, not := "1", `""`
		if strings.HasPrefix(operator, "!") {
			met, not = not, met
		}
		sign := strings.TrimPrefix(strings.TrimPrefix(operator, "!"), "=")
		lines = "default " + not + "; " + nginxconf.Quote(sign+strings.TrimSpace(operand)) + " " + met + ";"
	}
	isKnown := slices.Contains([]string{"", "=", "!=", "~", "!~", "~*", "!~*"}, operator)
	if !isKnown || !strings.HasPrefix(subject, "$") || strings.Contains(lines, `\$`) || k.isMadeIn(l, block, subject) {
		return manual("a map of what the condition tests, and its variable in the key", "only you know which pages differ")
	}
	variable := k.names.of("variant", subject+" "+lines, k.isVariable)
	return end(k.http(l.Server), "map "+subject+" $"+variable+" { "+lines+" }").and(k.setKey(l, nginxconf.Quote("$"+variable+"|"+l.asked())))
}

// isVariable reports whether the configuration has a variable of that name.
func (k *checker) isVariable(name string) bool {
	_, isDefined := k.config.Definition(name)
	return isDefined || k.config.IsSet(name)
}
