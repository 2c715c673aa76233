package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway"
	"uwgate/gateway/admin"
)

func reportCommand() *cli.Command {
	set := settings.ForReport()
	return &cli.Command{
		Name:      "report",
		Usage:     "show what keeps the workers busy, and what would save it",
		UsageText: "uwgate report --admin unix:/run/uwgate/admin.sock\nuwgate report --config /etc/uwgate/uwgate.yaml --only www.example.com --json",
		Description: "For each host and each reason not to store a page, it shows how many requests there were since\n" +
			"the gateway started, how long they occupied workers, and what to write so that such pages are\n" +
			"stored. What is stored is a page's first request only, so nearly all of that time is saved. The\n" +
			"line is about one of the requests; `uwgate explain` explains any.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return reportSavings(c, set) },
	}
}

// A saving is what one reason costs, with what to do.
type saving struct {
	gateway.Saving
	Advice string `json:"advice"` // what to write or set; "nothing" and what follows: there is nothing to do
}

// savings are those of a report, with what to do.
type savings struct {
	Seconds int64    `json:"uptime"`
	Observe bool     `json:"observe"`
	Savings []saving `json:"savings"`
}

func reportSavings(c *cli.Context, set *settings.Set) error {
	s, err := readWatch(c, set)
	if err != nil {
		return err
	}
	var r admin.Report
	if err := (adminAPI{Control: s.Control, timeout: statusTimeout}).ask(c.Context, "/api/v1/report", nil, &r); err != nil {
		return err
	}
	all := advised(&r, s.Command.Watch.Only)
	if s.Command.JSON {
		return writeJSON(c.App.Writer, all)
	}
	return writeSavings(c.App.Writer, all, s.Command.Watch.All)
}

// advised adds what to do to the savings of hosts that match.
func advised(r *admin.Report, only []string) *savings {
	all := &savings{Seconds: r.Seconds, Observe: r.Observe, Savings: []saving{}}
	for _, s := range r.Savings {
		if selects(only, s.Host) {
			advice := cmp.Or(s.Fix, adviceOn[s.Reason], "nothing")
			if s.Name != "" {
				advice = strings.ReplaceAll(advice, "NAME", s.Name)
			}
			all.Savings = append(all.Savings, saving{s, advice})
		}
	}
	return all
}

// canBeSaved reports whether there is anything to do.
func (s *saving) canBeSaved() bool { return !s.Stored && !strings.HasPrefix(s.Advice, "nothing") }

// writeSavings writes the report for people.
func writeSavings(w io.Writer, all *savings, every bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var total, other float64
	var requests uint64
	var open []saving
	for _, s := range all.Savings {
		total += s.Seconds
		switch {
		case s.canBeSaved():
			open = append(open, s)
		case !s.Stored:
			other += s.Seconds
			requests += s.Requests
		}
	}
	fmt.Fprintf(t, "Since the start %v ago, workers were busy for %s with requests of visitors.\n", time.Duration(all.Seconds)*time.Second, seconds(total))
	if all.Observe {
		fmt.Fprintln(t, "--observe is in force: nothing is stored. Remove it when the reasons are what you want.")
	}
	shown := open
	if !every {
		shown = open[:min(len(open), maxStatusRows)]
	}
	for _, s := range shown {
		fmt.Fprintf(t, "\n%s\t%s\t%d requests\t%s of workers\t%s of all\n", tame(cmp.Or(s.Host, "(no host)")), s.Reason, s.Requests, seconds(s.Seconds), share(s.Seconds, total))
		if s.Detail != "" {
			fmt.Fprintf(t, "    seen\t%s\n", tame(s.Detail+" ("+s.URL+")"))
		}
		fmt.Fprintf(t, "    to do\t%s\n", tame(s.Advice))
	}
	if left := len(open) - len(shown); left > 0 {
		fmt.Fprintf(t, "\nand %d more; --all prints them, --only GLOB selects hosts\n", left)
	}
	if len(open) == 0 {
		fmt.Fprintln(t, "\nNo reason keeps a page out that something can be done about.")
	}
	if requests > 0 {
		fmt.Fprintf(t, "\nNothing can be done about %d other requests (%s), such as POSTs and pages of logged-in users.\n", requests, seconds(other))
	}
	return t.Flush()
}

func share(part, whole float64) string {
	if whole == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.0f %%", 100*part/whole)
}
