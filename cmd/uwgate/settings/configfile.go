package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

// ApplyFile sets the command's flags that neither the command line nor the
// environment has set from the file that --config names, and returns the file for
// what else is in it. It knows the keys of all commands, so that they can share a
// file, and nothing else.
func ApplyFile(c *cli.Context) (*ConfigFile, error) {
	path := c.String("config")
	if path == "" {
		return &ConfigFile{}, nil
	}
	f, err := readFile(path)
	if err != nil {
		return nil, err
	}
	for _, s := range f.settings {
		if !has(c.Command.Flags, s.name) || c.IsSet(s.name) {
			continue
		}
		for _, value := range s.values {
			if err := c.Set(s.name, value); err != nil {
				if isToggle(c.Command.Flags, s.name) {
					err = errors.New("write true or false")
				}
				return nil, fmt.Errorf("%s: %s: %q: %w", s.place, s.name, value, err)
			}
		}
	}
	return f, nil
}

// A ConfigFile is what a file says.
type ConfigFile struct {
	settings []setting
	Rules    []rule
	Pools    []poolSpec
}

// A setting is one key of a configuration file that is a flag's.
type setting struct {
	place  string // file:line
	name   string
	values []string
}

func readFile(path string) (*ConfigFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	defer f.Close()
	return parseFile(path, f)
}

// parseFile reads a configuration file. path is for messages.
func parseFile(path string, r io.Reader) (*ConfigFile, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(r)
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return &ConfigFile{}, nil
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := dec.Decode(new(yaml.Node)); err != io.EOF {
		return nil, fmt.Errorf("%s: a second document follows after `---`; keep everything in one", path)
	}
	return parseSettings(path, doc.Content[0])
}

func parseSettings(path string, root *yaml.Node) (*ConfigFile, error) {
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: a configuration is a list of `flag: value` lines", path, root.Line)
	}
	known := ServeFlags()
	seen := map[string]bool{}
	var f ConfigFile
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		s := setting{place: fmt.Sprintf("%s:%d", path, key.Line), name: key.Value}
		if s.name != RulesKey && s.name != PoolsKey && !has(known, s.name) || s.name == "config" {
			return nil, unknownKey(s, known)
		}
		if seen[s.name] {
			return nil, fmt.Errorf("%s: %s stands here a second time; give several values as one list", s.place, s.name)
		}
		seen[s.name] = true
		var err error
		if s.name == RulesKey {
			if f.Rules, err = parseRules(path, value); err != nil {
				return nil, err
			}
			continue
		}
		if s.name == PoolsKey {
			if f.Pools, err = parsePoolSpecs(path, value); err != nil {
				return nil, err
			}
			continue
		}
		if s.values, err = scalars(value); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", s.place, s.name, err)
		}
		if len(s.values) > 1 && !repeatable(known, s.name) {
			return nil, fmt.Errorf("%s: %s takes one value, not a list", s.place, s.name)
		}
		f.settings = append(f.settings, s)
	}
	return &f, nil
}

// The keys that are not flags'.
const (
	RulesKey = "rules"
	PoolsKey = "pools"
)

func unknownKey(s setting, known []cli.Flag) error {
	known = append(known, &cli.StringFlag{Name: RulesKey}, &cli.StringFlag{Name: PoolsKey})
	err := fmt.Errorf("%s: unknown key %q", s.place, s.name)
	if guess := cli.SuggestFlag(known, s.name, true); guess != "" {
		err = fmt.Errorf("%w; did you mean %q?", err, TrimDashes(guess))
	}
	return fmt.Errorf("%w; keys are the flags of `uwgate serve --help`, rules and pools", err)
}

func TrimDashes(s string) string {
	for len(s) > 0 && s[0] == '-' {
		s = s[1:]
	}
	return s
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

func has(flags []cli.Flag, name string) bool {
	return find(flags, name) != nil
}

func find(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func isToggle(flags []cli.Flag, name string) bool {
	_, ok := find(flags, name).(*cli.BoolFlag)
	return ok
}

func repeatable(flags []cli.Flag, name string) bool {
	_, ok := find(flags, name).(*cli.StringSliceFlag)
	return ok
}
