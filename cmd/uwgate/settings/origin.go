package settings

import (
	"fmt"
	"strings"
)

// An Origin is where the value of a setting comes from. The zero value is the default.
type Origin struct {
	kind  originKind
	place string // file:line, of a file
}

type originKind uint8

const (
	fromDefault originKind = iota
	fromNginx
	fromSecret // a file that has nothing else in it
	fromFile
	fromEnvironment
	fromCommandLine
)

// IsDefault reports whether nothing sets the value.
func (o Origin) IsDefault() bool { return o.kind == fromDefault }

// String names the origin: "the command line", "the environment", "the default", or
// file and line, as in "/etc/uwgate/uwgate.yaml:3".
func (o Origin) String() string {
	switch o.kind {
	case fromCommandLine:
		return "the command line"
	case fromEnvironment:
		return "the environment"
	case fromDefault:
		return "the default"
	}
	return o.place
}

// name is how a setting is written at its origin.
func (o Origin) name(setting string) string {
	switch o.kind {
	case fromEnvironment:
		return envName(setting)
	case fromFile:
		return o.place + ": " + setting
	case fromSecret:
		return o.place + " (--" + setting + ")"
	case fromNginx:
		return o.place + ": --" + setting
	}
	return "--" + setting
}

// assignment is how a value is written at the origin.
func (o Origin) assignment(setting, value string, toggle bool) string {
	switch {
	case o.kind == fromEnvironment:
		return envName(setting) + "=" + shellQuote(value)
	case o.kind == fromFile:
		return setting + ": " + yamlQuote(value)
	case toggle:
		return "--" + setting + "=" + value
	}
	return "--" + setting + " " + shellQuote(value)
}

// envPrefix begins the names of settings in the environment.
const envPrefix = "UWGATE_"

// envName is the environment's name of a setting.
func envName(setting string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

func shellQuote(s string) string {
	if s == "" || strings.ContainsAny(s, " ;$&*?'\"<>|()`\\") {
		return "'" + s + "'"
	}
	return s
}

func yamlQuote(s string) string {
	if s == "" || strings.Contains(s, ": ") || strings.ContainsAny(s[:1], "@*&!%`'\"[{|>#") {
		return `"` + s + `"`
	}
	return s
}

// An Error is a value that cannot be used. Its text says which setting has the value,
// where the value comes from, and what to write instead.
type Error struct {
	Setting string
	Origin  Origin
	Value   string // empty if it is a secret
	Err     error  // what is wrong, and what to write

	row *row
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Origin.name(e.Setting))
	if e.row == nil || !e.row.secret {
		fmt.Fprintf(&b, " %q", e.Value)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.row != nil && e.row.example != "" && e.Origin.kind != fromSecret {
		b.WriteString("; for example " + e.Origin.assignment(e.Setting, e.row.example, e.row.toggle))
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }
