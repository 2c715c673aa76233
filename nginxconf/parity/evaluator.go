package parity

import (
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// An evaluator evaluates expressions as far as the configuration decides them. It remembers
// its results: the same few expressions are asked for by each check of each lookup. It is
// not safe for concurrent use.
type evaluator struct {
	config  *nginxconf.Config
	sources map[string][]string // of expressions
	made    map[inBlock][]string
}

// An inBlock is an expression in a server block, or at a lookup.
type inBlock struct {
	nginxconf.Place
	expression string
}

func newEvaluator(c *nginxconf.Config) *evaluator {
	return &evaluator{c, map[string][]string{}, map[inBlock][]string{}}
}

// sourcesOf returns the variables of which an expression is made, directly or through maps.
func (e *evaluator) sourcesOf(expression string) []string {
	all, known := e.sources[expression]
	if known {
		return all
	}
	all = nginxconf.Variables(expression)
	for i := 0; i < len(all); i++ {
		made, _ := e.config.Definition(all[i])
		if made.Kind == "geoip2" && !slices.Contains(all, "remote_addr") {
			all = append(all, "remote_addr")
		}
		if made.Kind != "map" && made.Kind != "geo" && made.Kind != "split_clients" {
			continue
		}
		m, _ := e.config.Map(all[i])
		for _, name := range nginxconf.Variables(made.Value + resultsOf(m)) {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	e.sources[expression] = all
	return all
}

// sourcesIn returns those of an expression in a server block, also those of variables that
// `set` makes there.
func (e *evaluator) sourcesIn(server nginxconf.Block, expression string) []string {
	return e.withSets(inBlock{server.Place, expression}, func(variable string) []string { return e.config.Sets(server, variable) })
}

// sourcesAt returns those of an expression where pages are looked up: a `set` that runs later
// makes nothing there.
func (e *evaluator) sourcesAt(l Lookup, expression string) []string {
	return e.withSets(inBlock{l.Place, expression}, func(variable string) []string { return e.config.SetsBefore(l.Lookup, variable) })
}

func (e *evaluator) withSets(at inBlock, sets func(variable string) []string) []string {
	if all, known := e.made[at]; known {
		return all
	}
	all := slices.Clone(e.sourcesOf(at.expression))
	for i := 0; i < len(all); i++ {
		for _, made := range sets(all[i]) {
			for _, name := range e.sourcesOf(made) {
				if !slices.Contains(all, name) {
					all = append(all, name)
				}
			}
		}
	}
	e.made[at] = all
	return all
}

// resultsOf returns all that a map can give.
func resultsOf(m nginxconf.Map) string {
	var all strings.Builder
	for _, words := range m.Lines {
		if len(words) == 2 && strings.Contains(words[1], "$") {
			all.WriteString(" " + words[1])
		}
	}
	return all.String()
}

// isMadeOf reports whether an expression has a variable that begins so, directly or through
// maps.
func (e *evaluator) isMadeOf(expression, prefix string) bool {
	return slices.ContainsFunc(e.sourcesOf(expression), func(name string) bool { return strings.HasPrefix(name, prefix) })
}

// mayKnowCookies reports whether an expression may depend on cookies: it is made of them, or
// of a variable that `set` or a module makes.
func (e *evaluator) mayKnowCookies(expression string) bool {
	return slices.ContainsFunc(e.sourcesOf(expression), func(name string) bool {
		if nginxconf.IsOwn(name) {
			return strings.HasPrefix(name, "cookie_") || name == "http_cookie"
		}
		made, _ := e.config.Definition(name)
		switch {
		case strings.Trim(name, "0123456789") == "", made.Kind == "capture":
			return false // the regex may
		case made.Kind == "map", made.Kind == "geo", made.Kind == "split_clients":
			return false // their sources may
		}
		return true
	})
}
