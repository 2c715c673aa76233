package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/admin"
	"uwgate/gateway/purge"
)

func statusCommand() *cli.Command {
	set := settings.ForStatus()
	return &cli.Command{
		Name:         "status",
		Usage:        "show what a running gateway is doing",
		UsageText:    "uwgate status --admin unix:/run/uwgate/admin.sock\nuwgate status --config /etc/uwgate/uwgate.yaml --json",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return status(c, set) },
	}
}

const statusTimeout = 10 * time.Second

func status(c *cli.Context, set *settings.Set) error {
	if c.Args().Present() {
		return fmt.Errorf("status takes flags only, not %q; `uwgate status --help` lists them", c.Args().First())
	}
	s, err := set.Read()
	if err != nil {
		return err
	}
	if s.Control.Admin.IsZero() {
		return errors.New("no gateway to ask: name it with --admin, as in the settings of `uwgate serve`")
	}
	report, err := askStatus(c.Context, s.Control)
	if err != nil {
		return err
	}
	if s.Command.JSON {
		return writeJSON(c.App.Writer, report)
	}
	return writeStatus(c.App.Writer, report)
}

func askStatus(ctx context.Context, control settings.Control) (*admin.Status, error) {
	s := &admin.Status{}
	return s, adminAPI{Control: control, timeout: statusTimeout}.ask(ctx, "/api/v1/status", nil, s)
}

// writeStatus writes a status for people.
func writeStatus(w io.Writer, s *admin.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "uwgate %s, up %v\n\n", cmp.Or(s.Version, "(devel)"), time.Duration(s.Seconds)*time.Second)
	fmt.Fprintf(t, "requests\t%s; %d in flight\n", counts(s.Requests), s.InFlight)
	fmt.Fprintf(t, "decisions\t%s\n", counts(s.Reasons))
	fmt.Fprintf(t, "flights\t%d under way, %d requests wait; ended %s\n", s.Flights, s.Followers, counts(s.Coalesced))
	if r := s.Refresh; r != nil {
		fmt.Fprintf(t, "refresh\t%d pages known, %d being fetched; %s\n", r.Pages, r.Fetching, counts(r.Events))
	}
	fmt.Fprintf(t, "stale copies\t%s\n", counts(s.Copies))
	fmt.Fprint(t, "\nbackend\tpool\tstate\tin flight\trequests\tconnect errors\n")
	for _, p := range s.Pools {
		for _, b := range p.Servers {
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\n", b.Name, cmp.Or(p.Name, "default"), state(b.Up), b.InFlight, b.Requests, b.Errors)
		}
		if p.Waiting > 0 {
			fmt.Fprintf(t, "(queue)\t%s\t%d waiting\t\t\t\n", cmp.Or(p.Name, "default"), p.Waiting)
		}
	}
	fmt.Fprint(t, "\nmemcached\tstate\tqueued\tstored\trefused\tdropped\tfailed\tdeletes\towed\tpurges owed\n")
	for _, m := range s.Store {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", m.Server, state(m.Up), m.Queued, m.Stored, m.Refused, m.Dropped, m.Failed, m.Deletes, m.Owed, m.Purges)
		if m.Error != "" {
			fmt.Fprintf(t, "(last error)\t%s\n", m.Error)
		}
	}
	writePurges(t, s.Purges)
	return t.Flush()
}

// writePurges writes the purges that are under way and the last ones.
func writePurges(w io.Writer, purges []purge.Purged) {
	if len(purges) == 0 {
		return
	}
	fmt.Fprint(w, "\npurge\tat\tclient\tvia\toutcome\tfound\tdeleted\ttook\n")
	for _, p := range purges {
		what := p.Mode + " " + cmp.Or(strings.Join(p.Purged[:min(len(p.Purged), 1)], ""), "nothing")
		if n := len(p.Purged); n > 1 {
			what += fmt.Sprintf(", +%d", n-1)
		}
		took := time.Duration(p.Took * float64(time.Second)).Round(time.Millisecond)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%v\n", printable(what), p.At.Local().Format(time.TimeOnly), cmp.Or(p.Client, "-"), p.Via, cmp.Or(p.Outcome, "running"), p.Found, p.Deleted, took)
	}
}

func state(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

// counts lists counters by word, the largest first.
func counts(m map[string]uint64) string {
	if len(m) == 0 {
		return "none"
	}
	words := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	for i, word := range words {
		words[i] = fmt.Sprintf("%s %d", word, m[word])
	}
	return strings.Join(words, ", ")
}
