package nginxconf

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A builder makes the model from the directives.
type builder struct {
	config    *Config
	defs      *definitions
	upstreams upstreams
	passes    map[*directive]*Pass             // by uwsgi_pass
	lookups   map[*scope]*Lookup               // by the location, or the `if`, that asks
	leads     map[*scope][]*scope              // to a named location, from those locations
	visited   map[*scope]bool                  // the locations to which requests are known to come
	fetched   map[*scope]bool                  // the locations that srcache_fetch asks
	regexes   map[*directive]*regexp.Regexp    // of rewrites
	memories  map[string]pathMemory            // of variables that are maps
	inKeys    map[string]bool                  // the variables of which keys are made, by their names in lower case
	types     map[*directive]map[string]string // by the first types block of a level
}

// build makes the model of the http blocks.
func build(ds []*directive, config *Config) error {
	main := &directive{block: ds}
	http := &directive{name: "http"}
	for _, d := range main.own("http") {
		http.block = append(http.block, d.block...)
	}
	http.index = newIndex(http.block)
	b := &builder{
		config:    config,
		defs:      newDefinitions(http),
		upstreams: newUpstreams(http),
		passes:    map[*directive]*Pass{},
		lookups:   map[*scope]*Lookup{},
		leads:     map[*scope][]*scope{},
		visited:   map[*scope]bool{},
		fetched:   map[*scope]bool{},
		types:     map[*directive]map[string]string{},
		regexes:   map[*directive]*regexp.Regexp{},
		memories:  map[string]pathMemory{},
		inKeys:    madeIntoKeys(http),
	}
	config.defs, config.listening = b.defs, &listeners{}
	root := newScope(http, nil)
	for _, d := range main.own("load_module") {
		config.Modules = append(config.Modules, d.text(""))
	}
	if d := main.last("user"); d != nil {
		config.user = Text{d.Place, strings.Join(d.args, " ")}
	}
	for _, server := range root.inner {
		config.servers = append(config.servers, newServer(server))
		if err := b.collectLeads(server); err != nil {
			return err
		}
		b.collectFetched(server)
		b.collectPasses(server)
		before := len(config.Lookups)
		if err := b.collectLookups(server); err != nil {
			return err
		}
		work := newBudget(server)
		b.follow(server, work)
		b.collectSubrequests(server, work)
		if work.isSpent() {
			b.giveUp(server)
		}
		b.settleMisses(config.Lookups[before:])
	}
	b.collectPrograms(http)
	return nil
}

// madeIntoKeys returns the variables from which keys are made, directly or through other
// variables.
func madeIntoKeys(http *directive) map[string]bool {
	made := map[string]bool{"memcached_key": true, "memc_key": true}
	var sets []*directive
	http.walk(func(d *directive) {
		switch d.name {
		case "set":
			sets = append(sets, d)
		case "srcache_fetch":
			addVariables(made, d.arg(2))
		}
	})
	for grown := true; grown; {
		grown = false
		for _, d := range sets {
			if made[variableName(d.arg(0))] && addVariables(made, d.arg(1)) {
				grown = true
			}
		}
	}
	return made
}

// addVariables adds those of an expression, and reports whether any was new.
func addVariables(all map[string]bool, expression string) (grown bool) {
	for _, name := range Variables(expression) {
		grown = grown || !all[name]
		all[name] = true
	}
	return grown
}

// collectLeads finds the locations that send requests to named ones, by error_page or
// try_files. Such requests keep their variables.
func (b *builder) collectLeads(server *scope) (err error) {
	server.walk(func(s *scope) {
		pages, mistake := s.errorPages()
		if err == nil {
			err = mistake
		}
		if s.name == "server" {
			return
		}
		from := s.location()
		for _, page := range pages {
			b.lead(from, page.Target)
		}
		if d := s.last("try_files"); d != nil {
			b.lead(from, d.args[len(d.args)-1])
		}
	})
	return err
}

func (b *builder) lead(from *scope, name string) {
	if all := b.defs.targets(name); len(all) > 0 && all[0] != name {
		for _, name := range all {
			b.lead(from, name)
		}
		return
	}
	if !strings.HasPrefix(name, "@") {
		return
	}
	to := from.server().named(name)
	if to == nil || to == from || slices.Contains(b.leads[to], from) {
		return
	}
	b.leads[to] = append(b.leads[to], from)
}

// collectFetched finds the locations that srcache_fetch asks.
func (b *builder) collectFetched(server *scope) {
	collect := func(s *scope) {
		for _, d := range s.own("srcache_fetch") {
			b.fetched[server.target(d.arg(1))] = true
		}
	}
	collect(server.outer)
	server.walk(collect)
}

// A way is one on which requests reach a scope, with what the rewrite module did on it.
type way struct {
	*rewriting
	from *scope // the location that they come from, nil if the scope is the first
}

// ways returns the ways to a scope: one for each location that leads to a named location,
// else one.
func (b *builder) ways(s *scope) []way {
	location := s.location()
	var ways []way
	for _, from := range b.leads[location] {
		ways = append(ways, b.way(s, from))
	}
	if len(ways) == 0 {
		ways = append(ways, b.way(s, nil))
	}
	return ways
}

func (b *builder) way(s, from *scope) way {
	r := newRewriting(b.defs)
	r.run(s.server().directive)
	if from != nil {
		r.run(from.directive)
	}
	if s.name == "if" {
		r.taken = s.directive
	}
	r.run(s.location().directive)
	return way{r, from}
}

// gap records a directive that makes no sense, or counts for nothing.
func (b *builder) gap(d *directive, format string, args ...any) {
	b.config.Gaps = append(b.config.Gaps, Gap{d.Place, fmt.Sprintf(format, args...), true})
}
