package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"uwgate/cmd/uwgate/settings"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
	"uwgate/nginxconf/snippet"
)

// A checkReport is the result of check. Its JSON form is read by scripts, and docs/check.md
// describes it: names stay.
type checkReport struct {
	OK       bool         `json:"ok"`                 // nothing is wrong
	Warnings []warning    `json:"warnings,omitempty"` // of serve, without --nginx and --via
	Nginx    *nginxReport `json:"nginx,omitempty"`    // of --nginx
	Live     *liveReport  `json:"live,omitempty"`     // of --via
	Overview *overview    `json:"overview,omitempty"` // of check without flags
	Untried  string       `json:"untried,omitempty"`  // why Live is missing although it was requested
}

// An nginxReport is the comparison with nginx's configuration.
type nginxReport struct {
	Files    []string       `json:"files"` // that were read
	Lookups  []lookupReport `json:"lookups"`
	Passes   []passReport   `json:"passes"` // every uwsgi_pass that leads to the gateway
	Findings []finding      `json:"findings"`
	Errors   int            `json:"errors"`
	Warnings int            `json:"warnings"`
	Notes    int            `json:"notes"`
	Silent   []string       `json:"silent"` // addresses of this machine where no gateway accepts connections, and why

	start  string // the command that starts one
	found  []parity.Finding
	routes []parity.Route // to be printed for people
}

// A lookupReport is a place where nginx looks pages up, in the words of serve's flags.
type lookupReport struct {
	File       string   `json:"file"`
	Line       int      `json:"line"`
	Location   string   `json:"location"`
	Names      []string `json:"names"` // of the server
	Key        string   `json:"key"`   // expanded
	HandedOver bool     `json:"handed_over"`
	Format     string   `json:"format"`
	Memcached  []string `json:"memcached"` // server lines
	Gateway    string   `json:"gateway"`   // where misses go
}

// A finding is a parity.Finding in JSON.
type finding struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Level string `json:"level"`
	Code  string `json:"code"`
	Text  string `json:"text"`
	Fix   string `json:"fix"`
	fixReport
}

func newNginxReport(conf *nginxconf.Config, found []parity.Finding) *nginxReport {
	r := &nginxReport{Files: conf.Files, Lookups: []lookupReport{}, Findings: []finding{}, Silent: []string{}, found: found}
	for _, l := range conf.Lookups {
		r.Lookups = append(r.Lookups, newLookupReport(parity.Lookup{Lookup: l}))
	}
	for _, f := range found {
		r.Findings = append(r.Findings, finding{f.File, f.Line, string(f.Level), string(f.Code), f.Text, f.Fix.Text, newFixReport(f.Fix)})
		switch f.Level {
		case parity.Error:
			r.Errors++
		case parity.Warning:
			r.Warnings++
		default:
			r.Notes++
		}
	}
	return r
}

func newLookupReport(l parity.Lookup) lookupReport {
	key, _ := l.Template()
	r := lookupReport{
		File: l.File, Line: l.Line, Location: l.Location.Name, Names: append([]string{}, l.Names...),
		Key: key, HandedOver: l.HandsKeyOver(), Format: string(l.Format()), Memcached: []string{},
	}
	for _, s := range l.Memcached.Servers {
		r.Memcached = append(r.Memcached, s.Text)
	}
	if l.Misses != nil {
		r.Gateway = l.Misses.Upstream.Name
	}
	return r
}

func (r *checkReport) isOff() bool {
	return r.Nginx != nil && r.Nginx.Errors > 0 || r.Live != nil && !r.Live.hit()
}

func (r *checkReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return writeJSON(w, r)
	}
	var err error
	switch {
	case r.Overview != nil:
		return r.Overview.write(w, time.Now())
	case r.Nginx != nil:
		err = r.Nginx.write(w)
	case r.Live == nil:
		for _, x := range r.Warnings {
			fmt.Fprintf(w, "warning: %s\n    fix: %s\n\n", printable(x.Text), printable(x.Fix))
		}
		_, err = io.WriteString(w, "The gateway's own configuration can be used. Add --nginx FILE to compare it with nginx's, and --via URL to prove it through nginx.\n")
	}
	if err != nil || r.Live == nil {
		return err
	}
	if r.Nginx != nil {
		fmt.Fprintln(w)
	}
	return r.Live.write(w)
}

// write prints the findings for people, and for editors that jump to FILE:LINE.
func (r *nginxReport) write(w io.Writer) error {
	var b strings.Builder
	for i, f := range r.Findings {
		if i > 0 && r.Findings[i-1].File != f.File {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d: %s: %s [%s]\n", f.File, f.Line, f.Level, printable(f.Text), f.Code)
		label := "    fix: "
		for line := range strings.Lines(f.Fix) {
			b.WriteString(label + printable(strings.TrimSuffix(line, "\n")) + "\n")
			label = "         "
		}
	}
	if len(r.Findings) > 0 {
		b.WriteByte('\n')
	}
	for _, route := range r.routes {
		for line := range strings.Lines(route.String()) {
			b.WriteString(printable(strings.TrimSuffix(line, "\n")) + "\n")
		}
	}
	if len(r.routes) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(r.summary() + "\n")
	if len(r.Silent) > 0 && r.Errors == 0 {
		b.WriteString("but no gateway runs on this machine: nginx sends misses to " + printable(strings.Join(r.Silent, ", ")) + "\n    start it: " + printable(r.start) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// summary returns the last line.
func (r *nginxReport) summary() string {
	counts := []string{}
	for _, n := range []struct {
		number int
		what   string
	}{{r.Errors, "error"}, {r.Warnings, "warning"}, {r.Notes, "note"}} {
		if n.number > 0 {
			counts = append(counts, countOf(n.number, n.what))
		}
	}
	agree := "nginx and uwgate agree on " + countOf(len(r.Lookups)-r.unchecked(), "lookup")
	switch all := strings.Join(counts, ", "); {
	case r.Errors > 0:
		return all
	case all != "":
		return agree + " (" + all + ")"
	}
	return agree
}

// findSilent looks whether a gateway accepts connections wherever nginx sends misses on this
// machine. With --listen it looks only at the gateway's own addresses.
func (r *nginxReport) findSilent(s *settings.Settings, conf *nginxconf.Config) {
	for _, address := range gatewaysOf(nil, conf) {
		isOther := !s.Origin("listen").IsDefault() && !(neighbour{Settings: s}).listensAt(address)
		if isOther || !snippet.IsLocal(address) {
			continue
		}
		if err := tryDial(address); err != nil && !errors.Is(err, fs.ErrPermission) {
			r.Silent = append(r.Silent, fmt.Sprintf("%s (%v)", address, err))
		}
	}
	r.start = strings.Join(append([]string{"uwgate serve"}, s.CommandLine()...), " ")
}

// unchecked returns the number of lookups whose misses go to other gateways.
func (r *nginxReport) unchecked() (n int) {
	for _, f := range r.Findings {
		if f.Code == "miss-elsewhere" && f.Level == string(parity.Note) {
			n++
		}
	}
	return n
}

func countOf(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
