package main

import (
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

// A passReport is a parity.Route in JSON.
type passReport struct {
	placeReport
	Location  string          `json:"location"`
	If        string          `json:"if"`      // the condition; empty: in no `if`
	Lookups   []placeReport   `json:"lookups"` // whose misses come here
	Unasked   []unaskedReport `json:"unasked"` // how requests come without a lookup
	Shown     bool            `json:"shown"`   // uwgate can tell which requests were looked up
	Rewritten string          `json:"rewritten"`
	Programs  []string        `json:"programs"`
}

type placeReport struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// An unaskedReport is a nginxconf.Unasked in JSON.
type unaskedReport struct {
	placeReport        // of the directive; empty: their location has the uwsgi_pass itself
	By          string `json:"by"`
	Sometimes   bool   `json:"sometimes"` // other requests for the same URL are looked up
}

func newPassReports(routes []parity.Route) []passReport {
	all := []passReport{}
	for _, r := range routes {
		p := passReport{
			placeReport: newPlaceReport(r.Place), Location: r.Location, If: r.If, Shown: r.Shown, Rewritten: r.Rewritten.Value,
			Lookups: []placeReport{}, Unasked: []unaskedReport{}, Programs: []string{},
		}
		for _, l := range r.Lookups {
			p.Lookups = append(p.Lookups, newPlaceReport(l.Place))
		}
		for _, u := range r.Unasked {
			p.Unasked = append(p.Unasked, unaskedReport{newPlaceReport(u.Place), u.Value, u.Sometimes})
		}
		for _, program := range r.Programs {
			p.Programs = append(p.Programs, program.Value)
		}
		all = append(all, p)
	}
	return all
}

func newPlaceReport(p nginxconf.Place) placeReport { return placeReport{p.File, p.Line} }
