package page

import (
	"cmp"
	"time"

	"uwgate/gateway/admin"
)

// An overview is what the gateway is doing, for the template.
type overview struct {
	Uptime string
	At     string // when it was made
	Since  string // when the settings in force were read

	Alerts []alert
	Tiles  []tile
	Graphs []*graph
	Tables []*table
}

// A tile is a number that one looks at first.
type tile struct{ Label, Value, Note, Source, State string }

// Where numbers come from.
const (
	fromNginx     = "nginx’s log"
	fromMemcached = "memcached’s counters"
	fromGateway   = "uwgate’s counters"
)

// sourceOf names the source of hits and misses.
func sourceOf(h *admin.HitStatus) string {
	switch h.Source {
	case admin.SourceNginx:
		return fromNginx
	case admin.SourceMemcached:
		return fromMemcached
	}
	return ""
}

func overviewOf(in *input) *overview {
	s := in.Status
	return &overview{
		Uptime: uptime(s.Seconds), At: in.Now.UTC().Format("15:04:05"), Since: s.Reload.InForce.UTC().Format("2006-01-02 15:04:05"),
		Alerts: alertsOf(in), Tiles: tilesOf(in), Graphs: []*graph{lookupGraph(in), requestGraph(in)},
		Tables: append(placeTables(s), pageTables(in)...),
	}
}

// recentSpan is what tiles call "now".
const recentSpan = 5 * time.Minute

// recentSum adds up the samples of the last minutes.
func recentSum(in *input) (sum admin.Sample) {
	for _, x := range in.Status.Traffic {
		if in.Now.Sub(x.At) < recentSpan {
			sum.Seconds += x.Seconds
			sum.Requests += x.Requests
			sum.Errors += x.Errors
			sum.Stored += x.Stored
			sum.Hits += x.Hits
			sum.Misses += x.Misses
			sum.Took += x.Took * float64(x.Requests)
		}
	}
	return sum
}

func tilesOf(in *input) []tile {
	s, sum := in.Status, recentSum(in)
	minutes := max(sum.Seconds/60, 1.0/6)
	return []tile{
		ratioTile(&s.Hits, &sum),
		{Label: "Requests to uwgate", Value: count(uint64(float64(sum.Requests)/minutes+0.5)) + " / min", Note: "mean time " + meanTime(&sum), Source: fromGateway},
		{Label: "Responses 5xx", Value: percent(share(sum.Errors, sum.Requests)), Note: count(sum.Errors) + " in the last 5 minutes", Source: fromGateway, State: stateOfErrors(&sum)},
		{Label: "Pages stored", Value: count(uint64(float64(sum.Stored)/minutes+0.5)) + " / min", Note: storedNote(s), Source: fromGateway, State: warnIf(s.Observe)},
		{Label: "In flight", Value: count(s.InFlight), Note: plural(s.Flights, "page", "pages") + " being fetched, " + plural(s.Followers, "request waits", "requests wait") + " for them", Source: fromGateway},
		{Label: "Waiting for a worker", Value: count(s.Waiting), Note: "in the queues of all pools", Source: fromGateway, State: warnIf(s.Waiting > 0)},
	}
}

func meanTime(sum *admin.Sample) string {
	if sum.Requests == 0 {
		return "–"
	}
	return seconds(sum.Took / float64(sum.Requests))
}

// ratioTile is the hit ratio of the last minutes, or since the start.
func ratioTile(h *admin.HitStatus, sum *admin.Sample) tile {
	t := tile{Label: "Hit ratio", Value: ratioOf(h.Ratio), Note: "since the counters began", Source: sourceOf(h)}
	if n := sum.Hits + sum.Misses; n > 0 {
		t.Value, t.Note = percent(share(sum.Hits, n)), "last 5 minutes; "+ratioOf(h.Ratio)+" since the counters began"
	}
	if h.Source == "" {
		t.Note = "nobody tells: use --hits-listen"
	}
	return t
}

func storedNote(s *admin.Status) string {
	if s.Observe {
		return "--observe: nothing is stored"
	}
	return count(s.Verdicts["store"]) + " since the start"
}

func warnIf(b bool) string {
	if b {
		return warn
	}
	return ""
}

// Shares of 5xx that need attention.
const (
	warnErrors = 0.01
	badErrors  = 0.05
)

func stateOfErrors(sum *admin.Sample) string {
	switch e := share(sum.Errors, sum.Requests); {
	case e >= badErrors:
		return bad
	case e >= warnErrors:
		return warn
	}
	return ""
}

func poolName(name string) string { return cmp.Or(name, "default") }
