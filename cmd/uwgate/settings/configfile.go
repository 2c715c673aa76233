package settings

import (
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// A configFile is what the file of --config says: values of settings, rules and pools.
type configFile struct {
	values []fileValue
	rules  []rule
	pools  []poolSpec
	bad    []string // keys whose values cannot be read
}

// A fileValue is what a file says for a setting.
type fileValue struct {
	name   string
	origin Origin
	values []string
}

// readFile reads the file of --config, which label names.
func readFile(label, path string) (*configFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	defer f.Close()
	return parseFile(path, f)
}

// parseFile reads a configuration file. path is for messages. With an error about some of
// its lines, it returns the others; it returns nil if it is no configuration.
func parseFile(path string, r io.Reader) (*configFile, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(r)
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return &configFile{}, nil
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := dec.Decode(new(yaml.Node)); err != io.EOF {
		return nil, fmt.Errorf("%s: a second document follows after `---`; keep everything in one", path)
	}
	return parseSettings(path, doc.Content[0])
}

func parseSettings(path string, root *yaml.Node) (*configFile, error) {
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: a configuration is a list of `setting: value` lines", path, root.Line)
	}
	known := make(map[string]row)
	for _, r := range allRows() {
		known[r.name] = r
	}
	seen := make(map[string]bool)
	var f configFile
	var errs []error
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		place := fmt.Sprintf("%s:%d", path, key.Line)
		if seen[key.Value] {
			errs = append(errs, fmt.Errorf("%s: %s is set a second time; write several values as one list", place, key.Value))
			continue
		}
		seen[key.Value] = true
		var err error
		switch key.Value {
		case rulesKey:
			f.rules, err = parseRules(path, value)
		case poolsKey:
			f.pools, err = parsePoolSpecs(path, value)
		default:
			r, ok := known[key.Value]
			if !ok || r.name == "config" {
				err = unknownKey(place, key.Value)
			} else {
				err = f.add(place, &r, value)
			}
		}
		if err != nil {
			errs = append(errs, err)
			f.bad = append(f.bad, key.Value)
		}
	}
	return &f, errors.Join(errs...)
}

// add takes in the value of a setting.
func (f *configFile) add(place string, r *row, n *yaml.Node) error {
	values, err := scalars(n)
	if err != nil {
		return fmt.Errorf("%s: %s: %w; for example %s: %s", place, r.name, err, r.name, yamlQuote(r.example))
	}
	if len(values) > 1 && !r.list {
		return fmt.Errorf("%s: %s takes one value, not a list; for example %s: %s", place, r.name, r.name, yamlQuote(r.example))
	}
	f.values = append(f.values, fileValue{r.name, Origin{fromFile, place}, values})
	return nil
}

// The keys that are no settings'.
const (
	rulesKey = "rules"
	poolsKey = "pools"
)

func unknownKey(place, name string) error {
	if name == "config" {
		return fmt.Errorf("%s: config cannot be set in the file; use --config or UWGATE_CONFIG", place)
	}
	names := append(settingNames(), rulesKey, poolsKey)
	err := fmt.Errorf("%s: unknown key %q", place, name)
	if meant := guess(name, names); meant != "" {
		err = fmt.Errorf("%w; did you mean %q?", err, meant)
	}
	return fmt.Errorf("%w; keys are the flags of `uwgate serve --help`, rules and pools", err)
}

// scalars returns the values of a scalar or of a list of scalars.
func scalars(n *yaml.Node) ([]string, error) {
	switch {
	case n.Kind == yaml.AliasNode:
		return scalars(n.Alias)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, errors.New("has no value; remove the line or give one")
	case n.Kind == yaml.ScalarNode:
		return []string{n.Value}, nil
	case n.Kind == yaml.SequenceNode:
		if len(n.Content) == 0 {
			return nil, errors.New("has an empty list; remove the line or fill it")
		}
		var values []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, errors.New("the list may hold plain values only")
			}
			values = append(values, item.Value)
		}
		return values, nil
	}
	return nil, errors.New("takes a value or a list of values")
}
