package parity

import (
	"fmt"
	"strings"

	"uwgate/nginxconf"
)

// A Route is a uwsgi_pass that leads to the gateway: which GETs reach it, and whether nginx
// asked memcached before.
type Route struct {
	nginxconf.Place
	Location string // its arguments
	If       string // the condition of the `if` that it stands in; "": in none

	// Lookups are those whose misses come here. Without an entry of Unasked, all GETs are
	// such misses.
	Lookups []Lookup
	Unasked []nginxconf.Unasked

	// Shown is set if the params show the gateway which of its requests were looked up.
	Shown bool

	Rewritten nginxconf.Text   // changes path or arguments on the way; zero: nothing does
	Programs  []nginxconf.Text // may do anything with the requests
}

// Routes returns all ways to the gateway, in the order of their places. Of the Gateway it
// needs Listen only.
func Routes(c *nginxconf.Config, g Gateway) (routes []Route) {
	k := newChecker(c, g)
	ours := k.group()
	lookups := map[*nginxconf.Pass][]Lookup{}
	for _, l := range ours.lookups {
		for _, p := range l.Reached {
			lookups[p] = append(lookups[p], l)
		}
	}
	for _, p := range ours.passes {
		r := Route{Place: p.Place, Location: p.Location.Name, If: p.If.Value, Unasked: p.Unasked, Shown: p.shows(), Rewritten: p.Rewritten, Programs: p.Programs, Lookups: lookups[p.Pass]}
		routes = append(routes, r)
	}
	return routes
}

// String describes the route in a few lines.
func (r Route) String() string {
	var b strings.Builder
	where := "location " + r.Location
	if r.If != "" {
		where += ", if " + r.If
	}
	fmt.Fprintf(&b, "%s: uwsgi_pass (%s)\n", r.Place, where)
	for _, l := range r.Lookups {
		fmt.Fprintf(&b, "    misses of the lookup of %s\n", l.Place)
	}
	for _, u := range r.Unasked {
		fmt.Fprintf(&b, "    requests without a lookup%s%s\n", by(u.Text), forLookedUp(u.Sometimes))
	}
	if !r.Rewritten.IsZero() {
		fmt.Fprintf(&b, "    with another path or other arguments%s\n", by(r.Rewritten))
	}
	for _, p := range r.Programs {
		fmt.Fprintf(&b, "    %s of %s may change all this\n", p.Value, p.Place)
	}
	switch {
	case len(r.Lookups)+len(r.Unasked) == 0:
		b.WriteString("    no GET\n")
	case len(r.Unasked) > 0 && r.Shown:
		b.WriteString("    uwgate can tell them apart\n")
	case len(r.Unasked) > 0:
		b.WriteString("    uwgate cannot tell them apart: CACHE_STATUS is missing\n")
	}
	return b.String()
}

func by(t nginxconf.Text) string {
	if t.IsZero() {
		return ""
	}
	return ", by " + t.Value + " of " + t.Place.String()
}

func forLookedUp(sometimes bool) string {
	if sometimes {
		return ", also for URLs that are looked up"
	}
	return ""
}
