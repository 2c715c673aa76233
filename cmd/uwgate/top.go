package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/admin"
)

func topCommand() *cli.Command {
	set := settings.ForTop()
	return &cli.Command{
		Name:      "top",
		Usage:     "watch a running gateway: hits, hot pages, reasons, servers",
		UsageText: "uwgate top --admin unix:/run/uwgate/admin.sock\nuwgate top --config /etc/uwgate/uwgate.yaml --interval 10s --json",
		Description: "On a terminal it shows one screen, until Ctrl-C. Elsewhere it prints a line for each interval,\n" +
			"or with --json an object. All numbers are of the interval, but those of pages, which are of the\n" +
			"last minutes.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return top(c, set) },
	}
}

func top(c *cli.Context, set *settings.Set) error {
	s, err := readWatch(c, set)
	if err != nil {
		return err
	}
	show := topLine
	if s.Command.JSON {
		show = func(w io.Writer, v *view) error { return writeJSON(w, v) }
	} else if f, ok := c.App.Writer.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		show = func(w io.Writer, v *view) error { return topScreen(w, v, f) }
	}
	before, err := askStatus(c.Context, s.Control)
	if err != nil {
		return err
	}
	tick := time.NewTicker(s.Command.Watch.Interval)
	defer tick.Stop()
	for n, since := 0, time.Now(); s.Command.Watch.Count == 0 || n < s.Command.Watch.Count; n++ {
		select {
		case <-tick.C:
		case <-c.Context.Done():
			return nil // Ctrl-C
		}
		now, err := askStatus(c.Context, s.Control)
		switch {
		case c.Context.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		at := time.Now()
		if err := show(c.App.Writer, viewOf(before, now, at.Sub(since), at, s.Command.Watch.Only)); err != nil {
			return err
		}
		before, since = now, at
	}
	return nil
}

// A view is what happened in an interval. Rates are by the second.
type view struct {
	At       time.Time `json:"at"`
	Seconds  float64   `json:"seconds"`
	Observe  bool      `json:"observe"`
	Source   string    `json:"source"` // of hits: nginx or memcached; empty: not known
	Ratio    *float64  `json:"ratio"`
	Hits     float64   `json:"hits"`
	Misses   float64   `json:"misses"`
	Requests float64   `json:"requests"`
	Errors   float64   `json:"errors"` // of these, with 5xx
	Stored   float64   `json:"stored"`
	InFlight int64     `json:"in_flight"`
	Waiting  int       `json:"waiting"`

	Reasons []rate             `json:"reasons"` // the most frequent first
	Servers []serverRate       `json:"servers"` // what is down first, then the busiest
	Pages   []admin.PageStatus `json:"pages"`   // with the most hits in the last minutes
	Read    []admin.StoredPage `json:"read"`    // stored pages that were read last
}

// A rate is how often something happened.
type rate struct {
	Name string  `json:"name"`
	Rate float64 `json:"rate"`
}

// A serverRate is a server of a pool.
type serverRate struct {
	Name     string  `json:"name"`
	Pool     string  `json:"pool"`
	Up       bool    `json:"up"`
	InFlight int     `json:"in_flight"`
	Rate     float64 `json:"rate"`
	Errors   uint64  `json:"errors"` // connects that failed
}

// viewOf returns what happened between two looks at the gateway.
func viewOf(before, now *admin.Status, span time.Duration, at time.Time, only []string) *view {
	per := func(now, before uint64) float64 {
		if now < before { // it has restarted
			before = 0
		}
		return float64(now-before) / span.Seconds()
	}
	v := &view{At: at, Seconds: span.Seconds(), Observe: now.Observe, Source: now.Hits.Source, InFlight: now.InFlight, Waiting: now.Waiting,
		Errors: per(now.Requests["5xx"], before.Requests["5xx"]), Stored: per(storedOf(now), storedOf(before)), Pages: []admin.PageStatus{}, Read: []admin.StoredPage{}}
	v.Requests = per(sumOf(now.Requests), sumOf(before.Requests))
	if now.Hits.Source == before.Hits.Source {
		v.Hits, v.Misses = per(now.Hits.Hits, before.Hits.Hits), per(now.Hits.Misses, before.Hits.Misses)
		if v.Hits+v.Misses > 0 {
			r := v.Hits / (v.Hits + v.Misses)
			v.Ratio = &r
		}
	}
	v.Reasons = ratesOf(now.Reasons, before.Reasons, per)
	v.Servers = serverRates(before, now, only, per)
	if n := now.Hits.Nginx; n != nil {
		for _, p := range n.Pages {
			if selects(only, p.Host) {
				v.Pages = append(v.Pages, p)
			}
		}
	}
	if now.Stored != nil {
		for _, p := range now.Stored.Hottest {
			if selects(only, p.Host) {
				v.Read = append(v.Read, p)
			}
		}
	}
	return v
}

func sumOf(m map[string]uint64) (n uint64) {
	for _, of := range m {
		n += of
	}
	return n
}

func storedOf(s *admin.Status) (n uint64) {
	for _, m := range s.Store {
		n += m.Stored
	}
	return n
}

func ratesOf(now, before map[string]uint64, per func(now, before uint64) float64) []rate {
	all := []rate{}
	for name, n := range now {
		if r := per(n, before[name]); r > 0 {
			all = append(all, rate{name, r})
		}
	}
	slices.SortFunc(all, func(a, b rate) int { return cmp.Or(cmp.Compare(b.Rate, a.Rate), strings.Compare(a.Name, b.Name)) })
	return all
}

func serverRates(before, now *admin.Status, only []string, per func(now, before uint64) float64) []serverRate {
	type key struct{ pool, name string }
	old := map[key]admin.ServerStatus{}
	for _, p := range before.Pools {
		for _, s := range p.Servers {
			old[key{p.Name, s.Name}] = s
		}
	}
	all := []serverRate{}
	for _, p := range now.Pools {
		name := cmp.Or(p.Name, "default")
		for _, s := range p.Servers {
			if selects(only, name, s.Name) {
				o := old[key{p.Name, s.Name}]
				all = append(all, serverRate{s.Name, name, s.Up, s.InFlight, per(s.Requests, o.Requests), max(s.Errors, o.Errors) - o.Errors})
			}
		}
	}
	slices.SortFunc(all, func(a, b serverRate) int {
		down := func(s serverRate) int {
			if s.Up {
				return 1
			}
			return 0
		}
		return cmp.Or(down(a)-down(b), cmp.Compare(b.Rate, a.Rate), b.InFlight-a.InFlight, strings.Compare(a.Pool, b.Pool), strings.Compare(a.Name, b.Name))
	})
	return all
}

// topLine writes a view as one line.
func topLine(w io.Writer, v *view) error {
	_, err := fmt.Fprintf(w, "%s  hit ratio %s, hits %.1f/s, misses %.1f/s%s; requests %.1f/s, 5xx %.1f/s, stored %.1f/s; %d in flight, %d wait%s\n", v.At.Format(time.TimeOnly), percent(v.Ratio), v.Hits, v.Misses,
		sourceNote(v.Source), v.Requests, v.Errors, v.Stored, v.InFlight, v.Waiting, downNote(v))
	return err
}

func sourceNote(source string) string {
	if source == "" {
		return " (nobody counts them)"
	}
	return " (" + source + ")"
}

func downNote(v *view) string {
	n := 0
	for _, s := range v.Servers {
		if !s.Up {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return "; " + countOf(n, "server") + " down"
}

// topScreen writes a view as a screen of the terminal f.
func topScreen(w io.Writer, v *view, f *os.File) error {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width, height = 80, 24
	}
	const home, clearLine, clearRest = "\x1b[H", "\x1b[K", "\x1b[J"
	var b strings.Builder
	b.WriteString(home)
	for i, line := range screenLines(v, height-1) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(cutTo(line, width) + clearLine)
	}
	b.WriteString(clearRest)
	_, err = io.WriteString(w, b.String())
	return err
}

// cutTo cuts a line to so many characters.
func cutTo(line string, width int) string {
	runes := []rune(tame(line))
	return string(runes[:min(len(runes), width)])
}

// screenLines are the lines of a screen: each table has its share of them.
func screenLines(v *view, height int) []string {
	var out bytes.Buffer
	topLine(&out, v)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if v.Observe {
		lines = append(lines, "--observe is in force: nothing is stored")
	}
	var tables [][]string
	tables = append(tables, table("reason\trequests/s", v.Reasons, func(r rate) string { return fmt.Sprintf("%s\t%.1f", r.Name, r.Rate) }))
	tables = append(tables, table("server\tpool\tstate\trequests/s\tin flight\tconnect errors", v.Servers, func(s serverRate) string {
		return fmt.Sprintf("%s\t%s\t%s\t%.1f\t%d\t%d", s.Name, s.Pool, state(s.Up), s.Rate, s.InFlight, s.Errors)
	}))
	if len(v.Pages) > 0 {
		tables = append(tables, table("hits in 5 to 10 minutes\tpage", v.Pages, func(p admin.PageStatus) string { return fmt.Sprintf("%d\t%s%s", p.Hits, p.Host, p.URI) }))
	} else {
		tables = append(tables, table("read last\tpage in memcached", v.Read, func(p admin.StoredPage) string {
			return fmt.Sprintf("%s ago\t%s%s", v.At.Sub(p.Read).Round(time.Second), p.Host, p.URI)
		}))
	}
	for i, rows := range tables {
		room := (height-len(lines))/(len(tables)-i) - 1
		if len(rows) < 2 || room < 2 {
			continue
		}
		lines = append(append(lines, ""), rows[:min(len(rows), room)]...)
	}
	return lines[:min(len(lines), max(height, 1))]
}

// table returns the lines of a table.
func table[T any](head string, rows []T, line func(T) string) []string {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, head)
	for _, r := range rows {
		fmt.Fprintln(t, line(r))
	}
	t.Flush()
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}
