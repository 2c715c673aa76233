package main

import (
	"os"
	"strings"
	"testing"

	"uwgate/gateway"
	"uwgate/gateway/policy"
)

// Lines end at 80 columns unless a word is longer, and labels never touch.
func TestSheet(t *testing.T) {
	var s sheet
	s.section("A", len("label"))
	s.row("label", strings.Repeat("word ", 40)+"é"+strings.Repeat("x", 90)+" end")
	s.clipped("label", strings.Repeat("é", 200))
	s.value("a long label", "\x1b[31m")
	for l := range strings.Lines(s.String()) {
		if n := len([]rune(strings.TrimSuffix(l, "\n"))); n > sheetWidth && !strings.Contains(l, "xxx") {
			t.Errorf("%d columns: %s", n, l)
		}
	}
	for _, want := range []string{"\n  label  word word ", "\n         word", "é…\n", "\n  a long label  \"\\x1b[31m\"\n", "\n         éx", "\n         end\n"} {
		if !strings.Contains(s.String(), want) {
			t.Errorf("%q is missing from\n%s", want, s.String())
		}
	}
}

func TestVerdictLine(t *testing.T) {
	for _, tt := range []struct {
		verdict  policy.Decision
		refusals int
		want     string
	}{
		{policy.Decision{Store: true, TTL: 60, Reason: policy.MaxAge}, 0, "Would be stored for 60 s: max-age."},
		{policy.Decision{Reason: policy.Private}, 1, "Would not be stored: private."},
		{policy.Decision{Reason: policy.Private}, 3, "Would not be stored: private, and 2 more."},
		{policy.Decision{Observe: true, TTL: 60, Reason: policy.MaxAge}, 1, "Would not be stored: observe. Without it for 60 s: max-age."},
		{policy.Decision{}, 0, "Would not be stored: there is no response."},
	} {
		e := &gateway.Explanation{Policy: policy.Explanation{Verdict: tt.verdict, Refusals: make([]policy.Finding, tt.refusals)}}
		if got := verdictLine(e); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.verdict, got, tt.want)
		}
	}
}

// The page shows what the program prints.
func TestExplainPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/explain.md")
	if err != nil {
		t.Fatal(err)
	}
	story, err := os.ReadFile("testdata/script/explain.txtar")
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.NewReplacer("$$", "$", "$WORKER", "unix:/run/app.sock", "$MEMCACHED", "127.0.0.1:11211").Replace(golden(t, story, "set-cookie.txt"))
	for l := range strings.Lines(shown) {
		if strings.TrimSpace(l) != "" && !strings.Contains(string(page), "    "+l) {
			t.Errorf("docs/explain.md lacks the line %s", l)
		}
	}
}

// golden is a file of a script.
func golden(t *testing.T, script []byte, name string) string {
	t.Helper()
	_, after, ok := strings.Cut(string(script), "\n-- "+name+" --\n")
	if !ok {
		t.Fatalf("no %s", name)
	}
	text, _, _ := strings.Cut(after, "\n-- ")
	return text
}
