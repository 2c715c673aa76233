package parity

import (
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// access reports what denies access to misses alone: everybody gets the pages that are
// stored for those who have access.
func (k *checker) access(l Lookup) {
	for _, p := range l.Reached {
		for _, guard := range p.Guards {
			if slices.ContainsFunc(l.Guards, func(own nginxconf.Text) bool { return isAsStrict(own, guard) }) {
				continue
			}
			level := Error
			if kind := kindOf(guard); kind == "auth_basic" || kind == "auth_digest" {
				level = Warning // of requests with Authorization only pages that are explicitly for all are stored
			}
			k.add(level, l.Place, accessDiffers, manual("the same access rules where pages are looked up, or `deny` there for what only some may see", "only you know who may see the pages"),
				"%s (%s) stands behind the lookup: it denies access to misses, and everybody gets the pages that are in memcached", guard.Value, guard.Place)
		}
	}
}

// isAsStrict reports whether one guard makes another one superfluous.
func isAsStrict(own, guard nginxconf.Text) bool {
	const denyAll = "`deny all`"
	return kindOf(own) == kindOf(guard) && (kindOf(guard) != "deny" || own.Value == guard.Value || own.Value == denyAll)
}

func kindOf(guard nginxconf.Text) string {
	kind, _, _ := strings.Cut(strings.Trim(guard.Value, "`"), " ")
	return kind
}

// refusesMisses reports an `if` that refuses or redirects requests only where misses go, with
// secure_link, valid_referers and the like: hits do not come there.
func (k *checker) refusesMisses(l Lookup) {
	for _, p := range l.sides() {
		for _, d := range k.config.In(p.Location.Place, "if") {
			response := k.response(d)
			if _, known := nginxconf.MethodMeets("GET", d.Value); response == "" || known || k.isOfURL(subjectOf(d.Value)) || k.leavesBefore(l, d) {
				continue
			}
			level, what := Error, "it is for misses only, and everybody gets the pages that are in memcached"
			if strings.HasPrefix(response, "return 3") || strings.HasPrefix(response, "rewrite") {
				level, what = Warning, "it redirects misses only, and hits are served without that"
			}
			k.add(level, d.Place, accessDiffers, k.guardFix(l, d, response),
				"`if %s { %s; }` stands behind the lookup of %s: %s", conditionOf(k.config.Words(d.Place)[1:]), response, l.Place, what)
		}
	}
}

// isOfURL reports whether a condition is the same for all requests for a URL, so that a page
// that is refused is never stored. Files count as the same.
func (k *checker) isOfURL(condition string) bool {
	return !slices.ContainsFunc(k.eval.sourcesOf(condition), func(name string) bool {
		if v, _ := k.config.Definition(name); v.Kind == "map" || nginxconf.IsArgs(name) {
			return false
		}
		return !slices.Contains([]string{"request_uri", "uri", "host", "http_host", "server_name", "server_port", "scheme", "https", "document_root", "request_filename", "realpath_root"}, name)
	})
}

// subjectOf returns what an `if` evaluates: its condition without a regex, in which a dollar
// sign is the end.
func subjectOf(condition string) string {
	subject, _, _ := strings.Cut(condition, "~")
	return subject
}

// response returns what an `if` responds itself with; "": it does not.
func (k *checker) response(branch nginxconf.Text) string {
	if returns := k.config.In(branch.Place, "return"); len(returns) > 0 {
		return strings.TrimSuffix(k.line(returns[0].Place), ";")
	}
	for _, d := range k.config.In(branch.Place, "rewrite") {
		if words := k.config.Words(d.Place); len(words) == 4 && (words[3] == "redirect" || words[3] == "permanent") {
			return "rewrite " + d.Value
		}
	}
	return ""
}

// leavesBefore reports whether requests that meet a condition leave before the lookup.
func (k *checker) leavesBefore(l Lookup, branch nginxconf.Text) bool {
	condition := conditionOf(k.config.Words(branch.Place)[1:])
	for _, block := range []nginxconf.Place{l.Location.Place, l.Server.Place} {
		for _, d := range k.config.In(block, "if") {
			inner := k.config.In(d.Place, "")
			leaves := slices.ContainsFunc(inner, func(d nginxconf.Text) bool {
				name := k.config.Words(d.Place)[0]
				return name == "return" || name == "rewrite" || strings.HasSuffix(name, "_pass")
			})
			if leaves && conditionOf(k.config.Words(d.Place)[1:]) == condition {
				return true
			}
		}
	}
	return false
}

// guardFix has the same `if` before the lookup, with the directives of its location that its
// variable comes from.
func (k *checker) guardFix(l Lookup, branch nginxconf.Text, response string) Fix {
	var lines []string
	around := k.config.Around(branch.Place)
	for _, name := range []string{"valid_referers", "referer_hash_max_size", "secure_link", "secure_link_md5", "secure_link_secret"} {
		for _, d := range k.config.In(around, name) {
			lines = append(lines, k.line(d.Place))
		}
	}
	for _, name := range nginxconf.Variables(subjectOf(branch.Value)) {
		_, isMap := k.config.Map(name)
		if made, _ := k.config.Definition(name); !isMap && made.Kind != "geo" && !nginxconf.IsOwn(name) {
			return manual("the same `if` before the lookup", "only you know how its variables are set there")
		}
	}
	lines = append(lines, "if "+conditionOf(k.config.Words(branch.Place)[1:])+" { "+response+"; }")
	return begin(l.Location.Place, lines...)
}

// conditionOf writes the words of a condition, quoted where nginx needs it.
func conditionOf(words []string) string {
	text := strings.Join(words, " ")
	bare := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(text, "("), ")"))
	variable, rest, found := strings.Cut(bare, " ")
	if !found || !strings.HasPrefix(bare, "$") {
		return "(" + bare + ")"
	}
	operator, operand, _ := strings.Cut(rest, " ")
	return "(" + variable + " " + operator + " " + nginxconf.Quote(strings.TrimSpace(operand)) + ")"
}
