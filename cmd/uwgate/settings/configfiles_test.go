package settings

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// schema is what `uwgate config --schema` prints.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(Schema())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("uwgate.json", doc); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("uwgate.json")
}

// accepts reports whether the schema accepts a file.
func accepts(t *testing.T, s *jsonschema.Schema, file string) error {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal([]byte(file), &doc); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// The schema has the keys of the table, and no others. It accepts examples and defaults; of
// bad values it accepts none that uwgate takes for a word, a number, a size, a time or a
// toggle.
func TestSchema(t *testing.T) {
	s := schema(t)
	keys := Schema()["properties"].(map[string]any)
	if want := len(allRows()) - 1 + 2; len(keys) != want {
		t.Errorf("%d keys, want %d", len(keys), want)
	}
	for _, r := range allRows() {
		if r.name == "config" {
			if err := accepts(t, s, "config: a"); err == nil {
				t.Error("config is a key of the file")
			}
			continue
		}
		for _, text := range append([]string{r.example}, r.defaults...) {
			if err := accepts(t, s, yamlLines("", &r, []string{text})); err != nil {
				t.Errorf("%s %q: %v", r.name, text, err)
			}
		}
		if err := accepts(t, s, yamlLines("", &r, []string{r.example, r.example})); (err == nil) != r.list {
			t.Errorf("%s: a list: %v", r.name, err)
		}
		strict := r.toggle || r.words() != nil || slices.Contains([]string{"number", "size", "time"}, r.word)
		bad := badValues[r.name]
		outOfBounds := regexp.MustCompile(`^-?[0-9.]+(m?s)?$|^1h$`).MatchString(bad) // which the schema cannot always say
		if strict && !outOfBounds && accepts(t, s, yamlLines("", &r, []string{bad})) == nil {
			t.Errorf("%s: the schema accepts %q", r.name, bad)
		}
	}
	for file, good := range map[string]bool{
		"rules: [{path: /a, ttl: 1m, tags: [a], status: [301]}, {keep-args: [], path: /b}]": true,
		"rules: [{pth: /a}]": false, "rules: [{path: [/a, /b]}]": false, "rules: []": false, "rules: [{action: cash}]": false,
		"pools: [{name: a, backend: b:1, queue-length: 3}]": true, "pools: [{name: a}]": false, "pools: [{name: a, backend: b:1, ttl: 1m}]": false,
		"backnd: a:1": false, "queue-entries: 0": false, "queue-entries: 10": true, "ttl: 600": false, "observe: maybe": false,
	} {
		if err := accepts(t, s, file); (err == nil) != good {
			t.Errorf("%s: %v", file, err)
		}
		if _, err := parseFile("f", strings.NewReader(file)); err != nil && good {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// The example is a file without settings. With all its comments removed it has them all.
func TestExample(t *testing.T) {
	s, err := parse(t).Read()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WriteExample(&b); err != nil {
		t.Fatal(err)
	}
	f, err := parseFile("example", bytes.NewReader(b.Bytes()))
	if err != nil || len(f.values) > 0 || len(f.rules) > 0 || len(f.pools) > 0 {
		t.Errorf("got %+v, %v", f, err)
	}
	for line := range strings.Lines(b.String()) {
		if len([]rune(line)) > pageWidth+1 && strings.HasPrefix(line, "# ") && strings.Count(line, " ") > 1 {
			t.Errorf("a long line: %s", line)
		}
	}
	all := regexp.MustCompile(`(?m)^#((?:  )*(?:- )?[a-z][a-z0-9-]*:|  - )`).ReplaceAllString(b.String(), "$1")
	f, err = parseFile("example", strings.NewReader(all))
	if err != nil {
		t.Fatalf("%v\n%s", err, all)
	}
	if len(f.values) != len(allRows())-1 || len(f.rules) != 2 || len(f.pools) != 1 {
		t.Errorf("%d settings, %d rules, %d pools", len(f.values), len(f.rules), len(f.pools))
	}
	if err := accepts(t, schema(t), all); err != nil {
		t.Error(err)
	}
}

// Settings that are given are set in the example, and reading it gives them back.
func TestExampleWithSettings(t *testing.T) {
	args := []string{"--backend", "unix:/run/a.sock weight=2", "--backend", "unix:/run/b.sock", "--ttl", "5m", "--nginx-adds", "X-A: 'b'", "--observe", "--socket-mode", "0666", "--log-query", "off"}
	s, err := parse(t, args...).Read()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WriteExample(&b); err != nil {
		t.Fatal(err)
	}
	again, err := parse(t, "--config", write(t, "uwgate.yaml", b.String())).Read()
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range s.Values() {
		if w := again.Values()[i]; v.Set != w.Set || !slices.Equal(v.Values, w.Values) {
			t.Errorf("got %+v, want %+v", w, v)
		}
	}
}

// Each value has its origin, and secrets are not shown.
func TestValues(t *testing.T) {
	t.Setenv("UWGATE_TTL", "5m")
	path := write(t, "uwgate.yaml", "# x\npurge-token: 0123456789abcdef\nexclude: [/a, /b]\n")
	s, err := parse(t, "--config", path, "--jitter", "1%").Read()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"ttl": "ttl: 5m|the environment", "jitter": "jitter: 1%|the command line", "exclude": "exclude:\n  - /a\n  - /b\n|" + path + ":3",
		"purge-token": "# purge-token: (secret)|" + path + ":2", "max-ttl": "# max-ttl: 24h|the default", "memcached": "# memcached: (none)|the default",
	}
	for _, v := range s.Values() {
		first, more := v.Lines()
		if more != "" {
			first += "\n" + more
		}
		if w, ok := want[v.Name]; ok && first+"|"+v.Origin != w {
			t.Errorf("got %s|%s, want %s", first, v.Origin, w)
		}
	}
}
