package main

import (
	"strings"
	"testing"
	"time"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/admin"
	"uwgate/gateway/purge"
)

// The table of purges shows one line for each, whatever clients have written into a tag.
func TestStatusOfPurges(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.Local)
	s := &admin.Status{Purges: []purge.Purged{
		{At: at, Via: "api", Mode: "hard", Purged: []string{"site www.example.com", "tag b"}, Took: 1.5},
		{At: at, Client: "10.0.0.7", Via: "PURGE", Mode: "soft", Purged: []string{"tag a\x1b[2J\n\tb"}, Outcome: purge.Done, Found: 3, Deleted: 2},
	}}
	var b strings.Builder
	if err := writeStatus(&b, s, settings.Watch{}); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(b.String(), "\npurge ")
	want := [][]string{
		{"hard site www.example.com, +1", "12:00:00", "-", "api", "running", "0", "0", "1.5s"},
		{`"soft tag a\x1b[2J\n\tb"`, "12:00:00", "10.0.0.7", "PURGE", "done", "3", "2", "0s"},
	}
	lines := strings.Split(strings.TrimSpace(table), "\n")[1:]
	if len(lines) != len(want) {
		t.Fatalf("got %q", lines)
	}
	for i, line := range lines {
		if got := strings.Join(strings.Fields(line), " "); got != strings.Join(want[i], " ") {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
}
