//go:build linux

package main

import "testing"

func TestTable(t *testing.T) {
	lines := table{{"work", "µs", "x"}}
	lines.add("uploads", "1.5 µs", "")
	lines.add("b")
	const want = "" +
		"| work    | µs     | x   |\n" +
		"| ---     | ---    | --- |\n" +
		"| uploads | 1.5 µs |     |\n" +
		"| b       |        |     |\n"
	if got := lines.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := (table{}).String(); got != "" {
		t.Errorf("empty: got %q", got)
	}
}
