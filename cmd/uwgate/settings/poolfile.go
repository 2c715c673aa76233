package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parsePoolSpecs reads the value of `pools:` and reports all that is wrong in it.
// path is for messages.
func parsePoolSpecs(path string, n *yaml.Node) ([]poolSpec, error) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, fmt.Errorf("%s:%d: pools is a list of pools, each of which begins with a dash, as in `- name: shop`", path, n.Line)
	}
	var specs []poolSpec
	var errs []error
	names := make(map[string]bool)
	for _, item := range n.Content {
		s, err := parsePoolSpec(path, resolve(item))
		if err == nil && names[s.name] {
			err = fmt.Errorf("%s: pool: there is a pool %q above; choose another name", s.place, s.name)
		}
		names[s.name] = true
		specs = append(specs, s)
		errs = append(errs, err)
	}
	return specs, errors.Join(errs...)
}

func parsePoolSpec(path string, n *yaml.Node) (poolSpec, error) {
	s := poolSpec{place: fmt.Sprintf("%s:%d", path, n.Line)}
	if n.Kind != yaml.MappingNode {
		return s, fmt.Errorf("%s: a pool is lines of `key: value`, as in `- name: shop`", s.place)
	}
	var errs []error
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		place := fmt.Sprintf("%s:%d", path, key.Line)
		err := s.set(place, key.Value, n.Content[i+1])
		if seen[key.Value] {
			err = fmt.Errorf("%s is set a second time", key.Value)
		}
		seen[key.Value] = true
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: pool: %w", place, err))
		}
	}
	if len(errs) == 0 && (s.name == "" || len(s.servers) == 0) {
		errs = append(errs, fmt.Errorf("%s: pool: a pool has a name, and servers under backend", s.place))
	}
	return s, errors.Join(errs...)
}

// set reads one key.
func (s *poolSpec) set(place, key string, n *yaml.Node) error {
	k := findPoolKey(key)
	if k == nil && !slices.Contains(poolOwnKeys, key) {
		return unknownPoolKey(key)
	}
	values, err := scalars(n)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if len(values) > 1 && (key == "name" || k != nil && !k.list) {
		return fmt.Errorf("%s takes one value, not a list", key)
	}
	switch key {
	case "name":
		s.name = values[0]
		if strings.ContainsAny(s.name, ":/@ ,") || s.name == "default" {
			return fmt.Errorf("name %q: write one word, not default, without : / @ and comma", s.name)
		}
	case "hosts":
		s.hosts = values
	case "backend":
		s.servers = values
	default:
		s.options = append(s.options, poolOption{place, k, values})
	}
	return nil
}

// poolOwnKeys are the keys that are no settings of all pools.
var poolOwnKeys = []string{"name", "hosts", "backend"}

func findPoolKey(name string) *poolKey {
	for i := range poolKeys {
		if poolKeys[i].name == name {
			return &poolKeys[i]
		}
	}
	return nil
}

func unknownPoolKey(name string) error {
	names := slices.Clone(poolOwnKeys)
	for i := range poolKeys {
		names = append(names, poolKeys[i].name)
	}
	return suggest(fmt.Errorf("unknown key %q", name), name, names)
}
