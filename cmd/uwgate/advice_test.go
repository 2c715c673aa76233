package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"uwgate/gateway/policy"
)

// People read the same in the terminal as on the page. What the page explains
// further down, the terminal says in a few words of its own.
func TestAdviceIsThatOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/decisions.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|.*\\| (.*) \\|$").FindAllStringSubmatch(string(page), -1)
	link := regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)
	documented := map[policy.Reason]bool{}
	for _, row := range rows {
		if strings.Count(row[0], "|") != 4 {
			continue // a reason to store
		}
		reason := policy.Reason(row[1])
		want := strings.TrimSuffix(strings.ReplaceAll(link.ReplaceAllString(row[2], "$1"), "`", ""), ", see below")
		if got := adviceOn[reason]; got != want && (want != "see below" || got == "") {
			t.Errorf("%s: got %q, want %q", reason, got, want)
		}
		documented[reason] = true
	}
	if len(documented) < 30 {
		t.Errorf("%d rows found, want all", len(documented))
	}
	for reason := range adviceOn {
		if !documented[reason] {
			t.Errorf("%s has no row in docs/decisions.md", reason)
		}
	}
}
