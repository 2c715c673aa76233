package parity

import (
	"cmp"
	"slices"

	"uwgate/nginxconf"
)

// findings are collected, each once.
type findings struct {
	all    []Finding
	known  map[findingKey]bool
	codes  map[Code]bool
	places map[placedCode]bool
}

// A findingKey is what two findings have in common that are the same.
type findingKey struct {
	placedCode
	text, fix string
}

type placedCode struct {
	nginxconf.Place
	code Code
}

func newFindings() *findings {
	return &findings{known: map[findingKey]bool{}, codes: map[Code]bool{}, places: map[placedCode]bool{}}
}

func (s *findings) add(f Finding) {
	at := placedCode{f.Place, f.Code}
	key := findingKey{at, f.Text, f.Fix.Text}
	if s.known[key] {
		return
	}
	s.known[key], s.codes[f.Code], s.places[at] = true, true, true
	s.all = append(s.all, f)
}

// has reports whether there is a finding with the code.
func (s *findings) has(code Code) bool { return s.codes[code] }

// hasAt reports whether there is one at the place.
func (s *findings) hasAt(at nginxconf.Place, code Code) bool { return s.places[placedCode{at, code}] }

// sorted returns the findings in the order of files and lines.
func (s *findings) sorted(files []string) []Finding {
	order := map[string]int{}
	for i, file := range files {
		order[file] = i
	}
	slices.SortStableFunc(s.all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line))
	})
	return s.all
}
