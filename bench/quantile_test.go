//go:build linux

package main

import (
	"math"
	"slices"
	"testing"
)

func TestQuantile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for _, tt := range []struct {
		name   string
		values []int
		share  float64
		want   int
	}{
		{"none", nil, 0.5, 0},
		{"one", []int{7}, 0.99, 7},
		{"half of two", []int{9, 3}, 0.5, 3},
		{"half of three", []int{9, 3, 5}, 0.5, 5},
		{"99 of 100", hundred, 0.99, 99},
		{"999 of 1000 needs the last of 100", hundred, 0.999, 100},
		{"all", hundred, 1, 100},
		{"nothing", hundred, 0, 1},
	} {
		if got := quantile(slices.Clone(tt.values), tt.share); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"one", []float64{4}, 4},
		{"odd", []float64{9, 1, 4}, 4},
		{"even", []float64{9, 1, 4, 6}, 5},
	} {
		before := slices.Clone(tt.values)
		if got := median(tt.values); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if !slices.Equal(tt.values, before) {
			t.Errorf("%s: the values are in another order: %v", tt.name, tt.values)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("none: got %v, want NaN", got)
	}
}
