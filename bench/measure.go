//go:build linux

package main

import (
	"fmt"
	"time"
)

// A measure is one number of a sample.
type measure struct {
	name string
	of   func(sample) float64
	text func(float64) string
}

var (
	cpuRequest = measure{"CPU per request", func(s sample) float64 { return float64(s.cpu) }, asDuration}
	cpuMiB     = measure{"CPU per MiB", func(s sample) float64 { return float64(s.cpuMiB) }, asDuration}
	system     = measure{"system", func(s sample) float64 { return float64(s.system) }, asDuration}
	user       = measure{"user", func(s sample) float64 { return float64(s.cpu - s.system) }, asDuration}
	rate       = measure{"requests/s", func(s sample) float64 { return s.rate }, asCount}
	p50        = measure{"p50", func(s sample) float64 { return float64(s.p50) }, asDuration}
	p99        = measure{"p99", func(s sample) float64 { return float64(s.p99) }, asDuration}
	p999       = measure{"p999", func(s sample) float64 { return float64(s.p999) }, asDuration}
)

// median is the measure's median over the rounds.
func (m measure) median(samples []sample) float64 {
	return median(m.each(samples))
}

func (m measure) each(samples []sample) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = m.of(s)
	}
	return values
}

// ratio is the median of the rounds' ratios. A slow round slows both down, so it does
// not change the ratio.
func (m measure) ratio(ours, theirs []sample) float64 {
	a, b := m.each(ours), m.each(theirs)
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

// asDuration formats nanoseconds with three digits.
func asDuration(ns float64) string {
	switch {
	case ns >= float64(time.Second):
		return significant(ns/1e9) + " s"
	case ns >= float64(time.Millisecond):
		return significant(ns/1e6) + " ms"
	}
	return significant(ns/1e3) + " µs"
}

func asCount(n float64) string { return fmt.Sprintf("%.0f", n) }

func asRatio(n float64) string { return fmt.Sprintf("%.2f", n) }

func asPercent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

func asKiB(bytes float64) string { return significant(bytes/1024) + " KiB" }

// significant formats a number with three digits, or with all digits before the point.
func significant(n float64) string {
	switch {
	case n >= 100:
		return fmt.Sprintf("%.0f", n)
	case n >= 10:
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.2f", n)
}
