package main

import (
	"fmt"
	"io"
	"strings"

	"uwgate/cmd/uwgate/deploy"
	"uwgate/cmd/uwgate/settings"
	"uwgate/cmd/uwgate/warm"
)

// A deployShow prints what a comparison finds.
type deployShow struct {
	out     io.Writer
	cmd     settings.Command
	printed bool // a line for a page
}

// each prints a page that fails or has changed, or every page.
func (d *deployShow) each(r deploy.Result) {
	if d.cmd.JSON || !d.cmd.Verbose && r.Outcome != deploy.Failing && r.Outcome != deploy.Changed {
		return
	}
	d.printed = true
	words := []string{string(r.Outcome), r.URL}
	if r.What != "" {
		words = append(words, printable(r.What))
	}
	if r.Outcome == deploy.Failing && r.Worker != "" {
		words = append(words, "("+r.Worker+")")
	}
	fmt.Fprintln(d.out, strings.Join(words, "  "))
	for _, line := range r.Diff {
		fmt.Fprintln(d.out, "  "+line)
	}
}

// end prints the summary.
func (d *deployShow) end(s *deploy.Summary) error {
	if d.cmd.JSON {
		return writeJSON(d.out, s)
	}
	if d.printed {
		fmt.Fprintln(d.out)
	}
	_, err := io.WriteString(d.out, deploySummary(s))
	return err
}

// outcomeTexts say what an outcome means for the deploy.
var outcomeTexts = []struct {
	outcome deploy.Outcome
	text    string
}{
	{deploy.Same, ""},
	{deploy.Assets, ", but for the names of static files: purge these pages after the switch, or keep the old files"},
	{deploy.Outdated, ": not as stored, but the workers that serve now respond the same"},
	{deploy.Changed, ""},
	{deploy.Failing, ""},
	{deploy.Gone, ": not stored any more, and not compared"},
}

// deploySummary is the summary for people.
func deploySummary(s *deploy.Summary) string {
	var t sheet
	t.section("Compared", len("not stored"))
	t.row("pages", fmt.Sprint(s.Pages))
	for _, o := range outcomeTexts {
		if n := s.Outcomes[o.outcome]; n > 0 {
			t.row(string(o.outcome), fmt.Sprint(n)+o.text)
		}
	}
	if len(s.Unstored) > 0 {
		t.row("not stored", "the new pages would not be stored: "+warm.Counts(s.Unstored))
	}
	if s.Unknown > 0 {
		t.row("left out", countOf(s.Unknown, "stored page")+", because no stranger's request has their key")
	}
	return t.String()
}
