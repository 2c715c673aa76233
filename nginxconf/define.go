package nginxconf

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// definitions are the variables that a configuration defines, by their names in lower case
// without dollar signs.
type definitions struct {
	sets  map[string][]*directive // all `set` of each
	other map[string]definition   // whatever else makes variables

	regexes sync.Map // *regexp.Regexp by its pattern; nil: Go cannot read it
}

type definition struct {
	Variable
	by    *directive
	lines [][]string // of a map
}

func newDefinitions(http *directive) *definitions {
	defs := &definitions{sets: map[string][]*directive{}, other: map[string]definition{}}
	defs.collect(http)
	return defs
}

// regex returns the regex of a pattern, or nil if Go cannot read it.
func (defs *definitions) regex(pattern string) *regexp.Regexp {
	if re, ok := defs.regexes.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re, _ := regexp.Compile(pattern)
	defs.regexes.Store(pattern, re)
	return re
}

func (defs *definitions) collect(block *directive) {
	for _, d := range block.block {
		switch d.name {
		case "set":
			name := variableName(d.arg(0))
			defs.sets[name] = append(defs.sets[name], d)
		case "map", "split_clients", "keyval":
			defs.add(d, d.arg(1), d.arg(0))
		case "geo":
			defs.addGeo(d)
		case "geoip2":
			for _, inner := range d.block {
				defs.add(&directive{Place: inner.Place, name: d.name}, inner.name, strings.Join(inner.args, " "))
			}
		case "server_name", "location", "if", "rewrite":
			defs.addCaptures(d, d.args)
		default:
			defs.addOther(d)
		}
		if d.name == "map" {
			for _, line := range d.block {
				defs.addCaptures(line, []string{line.name})
			}
			continue
		}
		defs.collect(d)
	}
}

// variableName returns the name in an argument such as "$name", in lower case.
func variableName(arg string) string { return Lower(strings.TrimPrefix(arg, "$")) }

// add records the variable that d defines. Of several definitions the last one counts;
// captures never replace one.
func (defs *definitions) add(d *directive, variable, value string) {
	name := variableName(variable)
	_, known := defs.other[name]
	if !strings.HasPrefix(variable, "$") || known && d.name == "capture" {
		return
	}
	made := definition{Variable: Variable{Place: d.Place, Name: variable, Kind: d.name, Value: value}, by: d}
	if d.name == "map" {
		made.lines = d.lines()
	}
	defs.other[name] = made
}

// lines returns the words of the lines in the block.
func (d *directive) lines() [][]string {
	all := make([][]string, 0, len(d.block))
	for _, line := range d.block {
		all = append(all, append([]string{line.name}, line.args...))
	}
	return all
}

// Map returns the map block that defines the variable, if one does. The name has no dollar
// sign. The lines must not be changed: all maps of the variable have the same.
func (c *Config) Map(variable string) (m Map, found bool) {
	made, ok := c.defs.other[Lower(variable)]
	if !ok || made.Kind != "map" {
		return Map{}, false
	}
	return Map{Place: made.by.Place, Source: made.Value, Lines: made.lines}, true
}

// Definition returns what defines a variable, apart from `set`. The name has no dollar sign.
func (c *Config) Definition(variable string) (v Variable, found bool) {
	made, found := c.defs.other[Lower(variable)]
	return made.Variable, found
}

// IsSet reports whether a `set` gives the variable a value. The name has no dollar sign.
func (c *Config) IsSet(variable string) bool { return len(c.defs.sets[Lower(variable)]) > 0 }

// addGeo records a geo block. By default it looks the client's address up.
func (defs *definitions) addGeo(d *directive) {
	if len(d.args) == 2 {
		defs.add(d, d.arg(1), d.arg(0))
		return
	}
	defs.add(d, d.arg(0), "$remote_addr")
}

// addOther records directives named set_something, something_set and the like. They define
// the variable that is their first argument.
func (defs *definitions) addOther(d *directive) {
	if strings.HasPrefix(d.name, "set_") || strings.HasSuffix(d.name, "_set") || d.name == "js_var" || d.name == "eval" {
		defs.add(d, d.arg(0), strings.Join(d.args[min(1, len(d.args)):], " "))
	}
}

var namedCapture = regexp.MustCompile(`\(\?P?[<']([A-Za-z_][A-Za-z0-9_]*)[>']`)

// addCaptures records the named captures of regexes.
func (defs *definitions) addCaptures(d *directive, args []string) {
	for _, arg := range args {
		for _, m := range namedCapture.FindAllStringSubmatch(arg, -1) {
			defs.add(&directive{Place: d.Place, name: "capture"}, "$"+m[1], arg)
		}
	}
}

// IsOwn reports whether nginx itself defines the variable of that name, which has no dollar
// sign.
func IsOwn(name string) bool { return isOwn(Lower(name)) }

// isOwn reports whether nginx itself defines the variable. The name is in lower case.
func isOwn(name string) bool {
	return slices.Contains(ownVariables, name) || slices.ContainsFunc(ownPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}
