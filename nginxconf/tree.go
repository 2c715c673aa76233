package nginxconf

import (
	"slices"
	"strings"
)

// A node is a directive with the block that it stands in.
type node struct {
	*directive
	outer *directive // of the main context it has no place
}

// plant adds the directives in a block to the tree. Those of a file that is included
// several times are in the block that includes it first.
func (c *Config) plant(outer *directive) {
	for _, d := range outer.block {
		if c.tree[d.Place] == nil {
			c.tree[d.Place] = &node{d, outer}
		}
		c.plant(d)
	}
}

// Around returns the place of the block that a directive stands in. It is zero in the main
// context.
func (c *Config) Around(at Place) Place {
	if n := c.tree[at]; n != nil {
		return n.outer.Place
	}
	return Place{}
}

// Words returns the directive at a place: its name and its arguments, unquoted.
func (c *Config) Words(at Place) []string {
	n := c.tree[at]
	if n == nil {
		return nil
	}
	return append([]string{n.name}, n.args...)
}

// Sets returns what the `set` directives of a server block make a variable of, which has no
// dollar sign: their values, and the conditions of the `if` blocks around them.
func (c *Config) Sets(server Block, variable string) (expressions []string) {
	return c.sets(server, variable, func(Place) bool { return true })
}

// SetsBefore returns those of Sets that run before a lookup.
func (c *Config) SetsBefore(l *Lookup, variable string) (expressions []string) {
	return c.sets(l.Server, variable, func(location Place) bool {
		return location == l.Location.Place || slices.ContainsFunc(l.ways, func(from *scope) bool { return from != nil && from.Place == location })
	})
}

// sets returns those of the `set` in locations that runs reports, and of the server's own.
func (c *Config) sets(server Block, variable string, runs func(location Place) bool) (expressions []string) {
	for _, d := range c.defs.sets[Lower(variable)] {
		own := []string{d.arg(1)}
		for n := c.tree[d.Place]; n != nil && n.outer != nil; n = c.tree[n.outer.Place] {
			if n.outer.name == "location" && !runs(n.outer.Place) {
				break
			}
			switch {
			case n.outer.name == "if":
				subject, _, _ := strings.Cut(n.outer.bare().Value, "~")
				own = append(own, subject)
			case n.outer.Place == server.Place:
				expressions = append(expressions, own...)
			}
		}
	}
	return expressions
}

// In returns the directives of a name that stand in a block itself, or in a file that it
// includes, in order. Each has its arguments, joined by spaces. The empty name is that of
// all directives.
func (c *Config) In(block Place, name string) (all []Text) {
	n := c.tree[block]
	if n == nil {
		return nil
	}
	ds := n.block
	if name != "" {
		ds = n.own(name)
	}
	for _, d := range ds {
		all = append(all, Text{d.Place, strings.Join(d.args, " ")})
	}
	return all
}
