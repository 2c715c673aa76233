//go:build linux

package main

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// Size of the plot's panels in pixels. There are two in a row.
const (
	panelWidth  = 400
	panelHeight = 230
	marginLeft  = 56
	marginTop   = 34
	plotWidth   = panelWidth - marginLeft - 20
	plotHeight  = panelHeight - marginTop - 40
)

// plot draws each series in a panel, as SVG. All panels have the same vertical scale.
func plot(all []series) string {
	top := scaleTop(all)
	rows := (len(all) + 1) / 2
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		2*panelWidth+10, rows*panelHeight) // room for the last label of an axis
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for i, s := range all {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%2*panelWidth, i/2*panelHeight)
		drawAxes(&b, s, top)
		drawPoints(&b, s, top)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// scaleTop returns a round number of microseconds above all points.
func scaleTop(all []series) float64 {
	most := 1.0
	for _, s := range all {
		for _, p := range s.points {
			most = max(most, micros(p.cpu))
		}
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	return math.Ceil(most/step) * step
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func drawAxes(b *strings.Builder, s series, top float64) {
	fmt.Fprintf(b, `<text x="%d" y="18" font-weight="bold">%s</text>`+"\n", marginLeft, html.EscapeString(s.name))
	for i := range 5 {
		value := top * float64(i) / 4
		y := yOf(value, top)
		fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s µs</text>`+"\n",
			marginLeft, y, plotWidth, marginLeft-5, y+4, tick(value))
	}
}

func drawPoints(b *strings.Builder, s series, top float64) {
	var line []string
	for _, p := range s.points {
		x, y := xOf(p.x, s), yOf(micros(p.cpu), top)
		line = append(line, fmt.Sprintf("%.1f,%.1f", x, y))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="#06c"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, y, x, marginTop+plotHeight+18, tick(p.x))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="#06c" stroke-width="1.5"/>`+"\n", strings.Join(line, " "))
}

// xOf returns a place on a logarithmic axis from the first point to the last.
func xOf(x float64, s series) float64 {
	first, last := s.points[0].x, s.points[len(s.points)-1].x
	if first == last {
		return marginLeft
	}
	return marginLeft + plotWidth*math.Log(x/first)/math.Log(last/first)
}

func yOf(y, top float64) float64 { return marginTop + plotHeight*(1-y/top) }

// tick formats a number of an axis.
func tick(x float64) string {
	if x == math.Trunc(x) {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}
