package main

import "testing"

// The last line counts no lookup that a note says is not checked.
func TestSummaryCountsCheckedLookups(t *testing.T) {
	r := &nginxReport{Lookups: make([]lookupReport, 2), Findings: []finding{{Level: "note", Code: "miss-elsewhere"}}, Notes: 1}
	if got, want := r.summary(), "nginx and uwgate agree on 1 lookup (1 note)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
