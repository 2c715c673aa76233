package settings

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Value is what a setting holds, and where that comes from.
type Value struct {
	Name   string   `json:"name"`
	Values []string `json:"values"` // as they are written; none if Secret
	Origin string   `json:"origin"`
	Set    bool     `json:"set"` // it is not the default
	Secret bool     `json:"secret,omitempty"`

	row *row
}

// Values returns what all settings that serve has hold, in the order of docs/settings.md.
func (s *Settings) Values() []Value {
	var values []Value
	for _, r := range s.set.rows {
		if r.own || r.name == "config" {
			continue
		}
		o := s.Origin(r.name)
		v := Value{Name: r.name, Values: []string{}, Origin: o.String(), Set: !o.IsDefault(), Secret: r.secret && !o.IsDefault(), row: r}
		if !v.Secret {
			v.Values = append(v.Values, s.texts(r.name)...)
		}
		values = append(values, v)
	}
	return values
}

// Lines returns the value as the configuration file has it: the first line, and what follows
// it, with line feeds. A default, and what the file cannot have, is a comment.
func (v Value) Lines() (first, more string) {
	switch {
	case v.Secret:
		return "# " + v.Name + ": (secret)", ""
	case len(v.Values) == 0:
		return "# " + v.Name + ": (none)", ""
	}
	prefix := ""
	if !v.Set {
		prefix = "# "
	}
	first, more, _ = strings.Cut(yamlLines(prefix, v.row, v.Values), "\n")
	return first, more
}

// yamlLines writes a setting as the configuration file has it. Each line begins with prefix.
func yamlLines(prefix string, r *row, values []string) string {
	if len(values) == 1 && values[0] == "" {
		return "# " + r.name + ": (empty)\n"
	}
	if len(values) == 1 {
		return prefix + r.name + ": " + yamlScalar(r.word, values[0]) + "\n"
	}
	var b strings.Builder
	b.WriteString(prefix + r.name + ":\n")
	for _, v := range values {
		b.WriteString(prefix + "  - " + yamlScalar(r.word, v) + "\n")
	}
	return b.String()
}

// yamlScalar quotes a text if YAML would read something else.
func yamlScalar(kind, text string) string {
	isNumber := text != "" && strings.Trim(text, "0123456789") == ""
	switch {
	case kind == "true or false", isNumber && (kind == "number" || kind == "size" || kind == "time"):
		return text
	}
	quoted, err := yaml.Marshal(text)
	if err != nil {
		return fmt.Sprintf("%q", text)
	}
	return strings.TrimSpace(string(quoted))
}

// pageWidth is the number of columns of what is printed.
const pageWidth = 80

// WriteExample writes a configuration file in which every key is explained. The settings
// that s has set are in force in it; all others are comments.
func (s *Settings) WriteExample(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(`# The settings of uwgate: uwgate serve --config THIS-FILE
#
# A line such as "#ttl: 10m" shows the default of a setting, or an example if it
# has none. To change it, remove the # and write another value.
#
#   uwgate config --config THIS-FILE    is it right, and what is in force?
#   uwgate help ttl                     what a setting means
#   systemctl reload uwgate             a change, unless it says (restart)
`)
	for _, section := range sections {
		fmt.Fprintf(&b, "\n\n# ==== %s\n%s", section.title, Wrap(strings.ToUpper(section.about[:1])+section.about[1:]+".", "# ", pageWidth))
		rows := section.rows()
		for i := range rows {
			if rows[i].name != "config" {
				s.writeExample(&b, &rows[i])
			}
		}
	}
	writeRuleExample(&b)
	writePoolExample(&b)
	_, err := w.Write(b.Bytes())
	return err
}

func (s *Settings) writeExample(b *bytes.Buffer, r *row) {
	d := r.describe()
	text := d.Sentence()
	if r.restart {
		text += " (restart)"
	}
	switch {
	case len(r.defaults) == 0:
		text += " No default; an example:"
	case r.example != r.defaults[0] && !r.toggle:
		text += " Example: " + r.example
	}
	b.WriteString("\n" + Wrap(text, "# ", pageWidth))
	if o := s.Origin(r.name); !o.IsDefault() && !r.secret {
		b.WriteString(yamlLines("", r, s.texts(r.name)))
		return
	}
	values := r.defaults
	if len(values) == 0 {
		values = []string{r.example}
	}
	b.WriteString(yamlLines("#", r, values))
}

func writeRuleExample(b *bytes.Buffer) {
	b.WriteString("\n\n# ==== Rules: what differs for some pages (docs/rules.md)\n\n" +
		Wrap("A list. Only the first rule whose conditions are all true applies, so write special rules above general ones. A rule needs none of these keys.", "# ", pageWidth) +
		"#\n")
	for _, k := range ruleKeys {
		b.WriteString(Wrap(k.name+": "+k.help, "#   ", pageWidth))
	}
	b.WriteString("#\n#rules:\n#  - name: account\n#    path: /account/\n#    action: bypass\n#  - name: news\n#    path: /news/\n#    ttl: 5m\n#    tags: [news]\n")
}

func writePoolExample(b *bytes.Buffer) {
	b.WriteString("\n\n# ==== Pools: several applications, each by its hosts (docs/pools.md)\n\n" +
		Wrap("A list. Requests for the hosts of a pool go to its servers, all others to those of backend. A pool has a name, hosts and servers; it may have the settings of the topic Backends, too, except host-map, trust-router-key, ask-to-close and trust-forwarded-proto.", "# ", pageWidth) +
		"#\n#pools:\n#  - name: shop\n#    hosts: [shop.example.com, \"*.shop.example.com\"]\n#    backend: [\"10.0.0.1:3031 weight=2\", \"10.0.0.2:3031\"]\n#    queue-length: 100\n")
}

// Wrap breaks a text into lines of at most width columns, each of which begins with prefix.
// A longer word has a line of its own.
func Wrap(text, prefix string, width int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case column == 0:
			b.WriteString(prefix)
			column = len([]rune(prefix))
		case column+1+n > width:
			b.WriteString("\n" + prefix)
			column = len([]rune(prefix))
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String() + "\n"
}

// Schema returns a JSON schema (2020-12) of the configuration file, ready for package json.
// What it refuses, uwgate refuses; uwgate knows more.
func Schema() map[string]any {
	keys := make(map[string]any)
	for _, r := range allRows() {
		if r.name == "config" {
			continue
		}
		keys[r.name] = described(listOr(r.list, schemaOf(r.word, r.words(), r.least, r.most)), r.describe().Sentence(), r.defaults)
	}
	keys[rulesKey] = map[string]any{"type": "array", "minItems": 1, "items": ruleSchema(), "description": "What differs for some pages: docs/rules.md."}
	keys[poolsKey] = map[string]any{"type": "array", "minItems": 1, "items": poolSchema(), "description": "Servers of several applications: docs/pools.md."}
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "uwgate", "description": "The file of `uwgate serve --config`.",
		"type": "object", "properties": keys, "additionalProperties": false,
	}
}

func described(schema map[string]any, text string, defaults []string) map[string]any {
	schema["description"] = text
	if len(defaults) == 1 {
		schema["default"] = defaults[0]
	}
	return schema
}

// schemaOf is the schema of one value, by its kind.
func schemaOf(kind string, words []string, least, most int64) map[string]any {
	switch {
	case kind == "true or false":
		return map[string]any{"enum": []any{true, false}}
	case len(words) > 0:
		var enum []any
		for _, w := range words {
			enum = append(enum, w)
		}
		if slices.Contains(words, "off") {
			enum = append(enum, true, false) // what YAML 1.1 makes of on and off
		}
		return map[string]any{"enum": enum}
	case kind == "number":
		number := map[string]any{"type": "integer"}
		if most > 0 {
			number["minimum"], number["maximum"] = least, most
		}
		return map[string]any{"anyOf": []any{number, map[string]any{"type": "string", "pattern": "^(0[xX])?[0-9a-fA-F:]+$"}}}
	case kind == "time":
		return map[string]any{"anyOf": []any{map[string]any{"const": 0}, map[string]any{"type": "string", "pattern": `^(0|[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h).*)$`}}}
	case kind == "size":
		return map[string]any{"anyOf": []any{map[string]any{"type": "integer", "minimum": 0}, map[string]any{"type": "string", "pattern": "^[0-9]+ ?[kKmMgG]?[iI]?[bB]?$"}}}
	}
	return map[string]any{"type": []any{"string", "number", "boolean"}}
}

// listOr is the schema of a value, or of a value or a list of values.
func listOr(list bool, one map[string]any) map[string]any {
	if !list {
		return one
	}
	return map[string]any{"anyOf": []any{one, map[string]any{"type": "array", "minItems": 1, "items": one}}}
}

func ruleSchema() map[string]any {
	keys := make(map[string]any)
	for _, k := range ruleKeys {
		one := schemaOf(k.word, kind{word: k.word}.words(), 0, 0)
		list := listOr(k.list, one)
		if k.name == "keep-args" {
			list = map[string]any{"anyOf": []any{one, map[string]any{"type": "array", "items": one}}}
		}
		keys[k.name] = described(list, strings.ToUpper(k.help[:1])+k.help[1:]+".", nil)
	}
	return map[string]any{"type": "object", "properties": keys, "additionalProperties": false, "minProperties": 1}
}

func poolSchema() map[string]any {
	text := map[string]any{"type": "string"}
	keys := map[string]any{
		"name":    map[string]any{"type": "string", "description": "A word that names the pool in logs and metrics."},
		"hosts":   described(listOr(true, text), "The hosts whose requests go to this pool, globs.", nil),
		"backend": described(listOr(true, text), "The pool's servers, as in --backend.", nil),
	}
	for i := range poolKeys {
		r := poolKeys[i].row()
		keys[r.name] = described(listOr(r.list, schemaOf(r.word, r.words(), 0, 0)), r.describe().Sentence(), nil)
	}
	return map[string]any{"type": "object", "properties": keys, "additionalProperties": false, "required": []any{"name", "backend"}}
}
