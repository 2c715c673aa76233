//go:build linux

package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A table is written as Markdown with aligned columns. Its first line is the head. Other
// lines may have fewer cells.
type table [][]string

func (t *table) add(cells ...string) { *t = append(*t, cells) }

func (t table) String() string {
	if len(t) == 0 {
		return ""
	}
	widths := make([]int, len(t[0]))
	for _, line := range t {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), len("---"))
		}
	}
	var b strings.Builder
	for i, line := range t {
		writeLine(&b, line, widths)
		if i == 0 {
			writeLine(&b, strings.Split(strings.Repeat("--- ", len(widths)-1)+"---", " "), widths)
		}
	}
	return b.String()
}

func writeLine(b *strings.Builder, line []string, widths []int) {
	for i, width := range widths {
		cell := ""
		if i < len(line) {
			cell = line[i]
		}
		fmt.Fprintf(b, "| %-*s ", width, cell)
	}
	b.WriteString("|\n")
}
