package main

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

func TestAllowGarbage(t *testing.T) {
	for _, tt := range []struct {
		name, gogc, limit string
		want              bool
	}{
		{"by default", "", "", true},
		{"with GOGC", "100", "", false},
		{"with GOMEMLIMIT", "", "1GiB", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("GOGC", tt.gogc)
			t.Setenv("GOMEMLIMIT", tt.limit)
			before := heapGoal()
			stop := allowGarbage(0)
			with := heapGoal()
			stop()
			if grown := with >= before+spareHeap; grown != tt.want {
				t.Errorf("the heap may grow to %d bytes, %d before", with, before)
			}
		})
	}
}

// heapGoal is the size at which the next collection ends.
func heapGoal() uint64 {
	runtime.GC()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	return goal[0].Value.Uint64()
}
