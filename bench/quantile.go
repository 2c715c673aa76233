//go:build linux

package main

import (
	"cmp"
	"math"
	"slices"
)

// quantile returns the least value that at least the given share of all values does not
// exceed. It sorts the values. Without values it returns zero.
func quantile[T cmp.Ordered](values []T, share float64) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	slices.Sort(values)
	at := int(math.Ceil(share*float64(len(values)))) - 1
	return values[min(max(at, 0), len(values)-1)]
}

// median returns the middle value, or the mean of the two in the middle. It does not
// change values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
