package page

import (
	"fmt"
	"strings"
	"time"

	"uwgate/gateway/admin"
)

// A graph is the last hour, a column a minute: two stacked series and, for lookups, a line.
type graph struct {
	ID, Title, Source string
	Summary           string // the graph in words
	Lower, Upper      series // Upper lies on Lower
	Columns           []minute
	Line              string // points of the share of Lower; empty: none
	Most              string // the value at the top
	Table             *table
}

type series struct{ Name, Class, Total string }

// A minute is a column, in the coordinates of the drawing.
type minute struct {
	X, LowerY, LowerHeight, UpperY, UpperHeight string
	Label                                       string
}

// The drawing's coordinates: 60 columns, which the browser stretches.
const (
	graphMinutes = 60
	columnWidth  = 10
	graphHeight  = 100
)

// A tick is a minute's two values.
type tick struct{ lower, upper uint64 }

func (t tick) sum() uint64 { return t.lower + t.upper }

func lookupGraph(in *input) *graph {
	h := &in.Status.Hits
	g := &graph{ID: "lookups", Title: "Hits and misses a minute", Source: sourceOf(h), Lower: series{Name: "hits", Class: "hit"}, Upper: series{Name: "misses", Class: "miss"}}
	if h.Source == "" {
		g.Source = "nobody tells"
	}
	return g.draw(in, true, func(s *admin.Sample) tick { return tick{s.Hits, s.Misses} })
}

func requestGraph(in *input) *graph {
	g := &graph{ID: "requests", Title: "Requests to uwgate a minute", Source: fromGateway, Lower: series{Name: "others", Class: "fine"}, Upper: series{Name: "5xx", Class: "error"}}
	return g.draw(in, false, func(s *admin.Sample) tick { return tick{s.Requests - s.Errors, s.Errors} })
}

// draw fills in the columns.
func (g *graph) draw(in *input, line bool, read func(s *admin.Sample) tick) *graph {
	ticks := ticksOf(in, read)
	var total tick
	top := uint64(1)
	for _, t := range ticks {
		total.lower += t.lower
		total.upper += t.upper
		top = max(top, t.sum())
	}
	begin := in.Now.Add(-graphMinutes * time.Minute)
	var points []string
	for i, t := range ticks {
		low, up := height(t.lower, top), height(t.upper, top)
		g.Columns = append(g.Columns, minute{
			X: fmt.Sprint(i * columnWidth), LowerY: coordinate(graphHeight - low), LowerHeight: coordinate(low), UpperY: coordinate(graphHeight - low - up), UpperHeight: coordinate(up),
			Label: fmt.Sprintf("%s UTC: %s %s, %s %s", begin.Add(time.Duration(i)*time.Minute).UTC().Format("15:04"), count(t.lower), g.Lower.Name, count(t.upper), g.Upper.Name),
		})
		if line && t.sum() > 0 {
			points = append(points, fmt.Sprintf("%d,%s", i*columnWidth+columnWidth/2, coordinate(graphHeight*(1-share(t.lower, t.sum())))))
		}
	}
	g.Line, g.Most = strings.Join(points, " "), count(top)
	g.Lower.Total, g.Upper.Total = count(total.lower), count(total.upper)
	g.Summary = fmt.Sprintf("%s over the last hour: %s %s, %s %s; at most %s in a minute.", g.Title, g.Lower.Total, g.Lower.Name, g.Upper.Total, g.Upper.Name, count(top))
	g.Table = g.inWords(ticks, begin)
	return g
}

// ticksOf adds up the samples of each of the last 60 minutes.
func ticksOf(in *input, read func(s *admin.Sample) tick) (ticks [graphMinutes]tick) {
	for i := range in.Status.Traffic {
		s := &in.Status.Traffic[i]
		age := in.Now.Sub(s.At)
		if age < 0 || age >= graphMinutes*time.Minute {
			continue
		}
		t, at := read(s), graphMinutes-1-int(age/time.Minute)
		ticks[at].lower += t.lower
		ticks[at].upper += t.upper
	}
	return ticks
}

// inWords is the graph as a table, a row for 10 minutes.
func (g *graph) inWords(ticks [graphMinutes]tick, begin time.Time) *table {
	const step = 10
	t := &table{ID: g.ID + "-table", Title: g.Title, Head: columns("From (UTC)", "#"+g.Lower.Name, "#"+g.Upper.Name, "#Share of "+g.Lower.Name)}
	for at := 0; at < graphMinutes; at += step {
		var sum tick
		for _, m := range ticks[at : at+step] {
			sum.lower += m.lower
			sum.upper += m.upper
		}
		part := figure("–")
		if sum.sum() > 0 {
			part = figure(percent(share(sum.lower, sum.sum())))
		}
		t.Rows = append(t.Rows, row{text(begin.Add(time.Duration(at) * time.Minute).UTC().Format("15:04")), number(sum.lower), number(sum.upper), part})
	}
	return t
}

func height(n, top uint64) float64 { return graphHeight * share(n, top) }

func coordinate(f float64) string { return fmt.Sprintf("%.1f", f) }
