package policy

import (
	"math/bits"
	"strings"

	"uwgate/uwsgi"
)

// A trait is what the name of a cookie, of a request header or of a var says about
// the visitor. If several apply to a name, the greatest one counts.
type trait uint8

// A mark is one entry of a table.
type mark struct {
	name  string // or glob
	trait trait
	given bool // by the operator

	// number numbers exact names from 1: first those of headers, then of vars.
	number int

	// repeats reports whether the value says only what nginx says, and so changes no
	// page: then the trait does not count. Nil: never.
	repeats func(p *Policy, v uwsgi.Vars, value string) bool
}

func (m *mark) isGlob() bool { return strings.IndexByte(m.name, '*') >= 0 }

// traits is the table of one kind of names. Nearly all names of a request are in
// it without a star, so one comparison finds them.
type traits struct {
	fold  bool         // whether case does not matter
	all   []*mark      // in the order of the tables, the operator's among them
	exact []*mark      // one for a name without a star, with all that is said of it
	slots []*mark      // the same, each in its slot or the next free one; a power of two
	globs [256][]*mark // by the first byte, in lower case
	wild  []*mark      // globs that begin with a star
}

// add adds a class: the built-in names, unless the operator's list begins with
// "none", and the operator's names.
func (t *traits) add(class trait, spell func(string) string, builtin, given []string) {
	if len(given) > 0 && given[0] == noDefaults {
		builtin, given = nil, given[1:]
	}
	for _, name := range builtin {
		t.all = append(t.all, &mark{name: spell(name), trait: class})
	}
	for _, name := range given {
		t.all = append(t.all, &mark{name: spell(name), trait: class, given: true})
	}
}

// settle makes the table from all marks. It numbers the exact names, beginning
// after last.
func (t *traits) settle(last int) {
	t.slots = make([]*mark, 1<<bits.Len(uint(4*len(t.all))))
	for _, m := range t.all {
		switch first := strings.IndexByte(m.name, '*'); {
		case first == 0:
			t.wild = append(t.wild, m)
		case first > 0:
			t.globs[lower(m.name[0])] = append(t.globs[lower(m.name[0])], m)
		}
	}
	for _, m := range t.all {
		if !m.isGlob() && t.exactly(m.name) == nil {
			m = t.settled(m.name)
			t.exact = append(t.exact, m)
			m.number = last + len(t.exact)
			*t.slotOf(m.name) = m
		}
	}
}

// settled returns what all marks together say about an exact name: the operator's
// mark for it, or else the strictest.
func (t *traits) settled(name string) *mark {
	var word, best *mark
	for _, m := range t.all {
		if t.same(m, name) {
			best = stricter(best, m)
			if m.given {
				word = stricter(word, m)
			}
		}
	}
	if word == nil {
		word = stricter(best, t.byGlob(name))
	}
	if word.name == name {
		return word
	}
	own := *word // a glob's
	own.name = name
	return &own
}

func stricter(a, b *mark) *mark {
	if a == nil || b != nil && b.trait > a.trait {
		return b
	}
	return a
}

// hash distributes names, whatever their case, by their length and a few bytes.
func hash(name string) uint32 {
	n := len(name)
	if n == 0 {
		return 0
	}
	const lowerCase, golden = 0x202020, 0x9e3779b9 // the second is 2^32 over the golden ratio
	few := uint32(name[n-1])<<16 | uint32(name[n/2])<<8 | uint32(name[n/4])
	return (uint32(n)<<24 | few | lowerCase) * golden >> 16
}

// of returns what the table says about the name, nil if it says nothing.
func (t *traits) of(name string) *mark {
	if m := t.exactly(name); m != nil {
		return m
	}
	return t.byGlob(name)
}

func (t *traits) exactly(name string) *mark { return *t.slotOf(name) }

// slotOf returns the slot of the name, or the free slot for it.
func (t *traits) slotOf(name string) **mark {
	last := len(t.slots) - 1
	for i := int(hash(name)) & last; ; i = (i + 1) & last {
		if m := t.slots[i]; m == nil || t.same(m, name) {
			return &t.slots[i]
		}
	}
}

func (t *traits) same(m *mark, name string) bool {
	return m.name == name || t.fold && equalFold(m.name, name)
}

func (t *traits) byGlob(name string) *mark {
	if name == "" {
		return nil
	}
	var best *mark
	for _, m := range t.globs[lower(name[0])] {
		if t.matches(m, name) {
			best = stricter(best, m)
		}
	}
	for _, m := range t.wild {
		if t.matches(m, name) {
			best = stricter(best, m)
		}
	}
	return best
}

func (t *traits) matches(m *mark, name string) bool {
	if t.fold {
		return matches(m.name, name)
	}
	return matchesExactly(m.name, name)
}
