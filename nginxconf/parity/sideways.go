package parity

import (
	"slices"
	"strings"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

// changesMisses finds what gives visitors with one key different pages, behind the key: a
// rewrite, `set $args` or another uwsgi_pass for some of them. The page of the first one is
// stored for all.
func (k *checker) changesMisses(l Lookup) {
	if l.Misses == nil || l.Key.Late != "" || !l.Never.IsZero() {
		return
	}
	blocks := []nginxconf.Place{l.Location.Place}
	for _, p := range l.sides() {
		blocks = append(blocks, p.Location.Place)
	}
	for _, block := range blocks {
		for _, d := range k.config.In(block, "if") {
			words := k.config.Words(d.Place)[1:]
			change := k.changeIn(l, block, d.Place)
			if _, known := nginxconf.MethodMeets("GET", d.Value); change == "" || known || !k.isFree(l, subjectOf(d.Value)) || block != l.Location.Place && k.leavesBefore(l, d) {
				continue
			}
			k.error(d.Place, rewritten, k.variantFix(l, words),
				"`if %s { %s; }` changes the page for some visitors, and the key %s is the same for all: everybody gets the page of the first one", conditionOf(words), change, l.asked())
		}
		for _, d := range k.config.In(block, "") {
			words := k.config.Words(d.Place)
			if len(words) < 3 || !k.changesRequest(l, block, words) || !k.isFree(l, words[2]) {
				continue
			}
			key := variablesOf(words[2]) + "|" + l.asked()
			fix := k.setKey(l, nginxconf.Quote(key))
			if _, isSeen := k.unseenIn(l, key, policy.Rewritten); !isSeen {
				fix = manual("put what "+variablesOf(words[2])+" is made of into the key, with values that have no slash", "uwgate looks for the path in the key")
			}
			k.error(d.Place, rewritten, fix,
				"`%s` changes the page by what visitors send, and the key %s does not contain that: everybody gets the page of the first one", strings.Join(words, " "), l.asked())
		}
	}
}

// changeIn returns the directive of an `if` that changes the requests that come to the
// application, or the server to which they go. "": there is none.
func (k *checker) changeIn(l Lookup, block, branch nginxconf.Place) string {
	for _, d := range k.config.In(branch, "") {
		words := k.config.Words(d.Place)
		isPass := strings.HasSuffix(words[0], "_pass") && block != l.Location.Place
		if isPass && !k.isPassOf(block, words) || k.changesRequest(l, block, words) {
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
// looked up, or are about to be. If the key is made of these later, it has the change.
func (k *checker) changesRequest(l Lookup, block nginxconf.Place, words []string) bool {
	isBefore := block == l.Location.Place
	switch words[0] {
	case "set":
		return strings.EqualFold(words[1], "$args") && !(isBefore && l.knows("args"))
	case "rewrite":
		return words[len(words)-1] == "break" && !(isBefore && l.knows("uri"))
	}
	return false
}

// variablesOf returns the variables of an expression, without captures.
func variablesOf(expression string) string {
	var all nginxconf.Expression
	for _, name := range nginxconf.Variables(expression) {
		if strings.Trim(name, "0123456789") != "" {
			all = append(all, nginxconf.Piece{Text: name, IsVariable: true})
		}
	}
	return all.String()
}

// variantFix puts into the key whether a request meets a condition.
func (k *checker) variantFix(l Lookup, condition []string) Fix {
	const variable = "variant"
	_, isTaken := k.config.Definition(variable)
	words := strings.SplitN(strings.TrimSuffix(strings.TrimPrefix(conditionOf(condition), "("), ")"), " ", 3)
	lines := map[string]string{}
	if operator := strings.Join(words[1:min(2, len(words))], ""); len(words) == 3 {
		operand := strings.TrimSpace(strings.TrimPrefix(strings.TrimSuffix(strings.Join(condition, " "), ")"), "("))
		_, operand, _ = strings.Cut(operand, " "+operator+" ")
		met, not := "1", `""`
		if strings.HasPrefix(operator, "!") {
			met, not = not, met
		}
		sign := strings.TrimPrefix(strings.TrimPrefix(operator, "!"), "=")
		lines[operator] = "default " + not + "; " + nginxconf.Quote(sign+strings.TrimSpace(operand)) + " " + met + ";"
	} else {
		lines[""] = `default 1; "" ""; 0 "";`
	}
	operators := []string{"", "=", "!=", "~", "!~", "~*", "!~*"}
	i := slices.IndexFunc(operators, func(operator string) bool { return lines[operator] != "" })
	if isTaken || i < 0 || !strings.HasPrefix(words[0], "$") || strings.Contains(lines[operators[i]], `\$`) {
		return manual("a map of what the condition tests, and its variable in the key", "only you know which pages differ")
	}
	return end(k.http(l.Server), "map "+words[0]+" $"+variable+" { "+lines[operators[i]]+" }").and(k.setKey(l, nginxconf.Quote("$"+variable+"|"+l.asked())))
}
