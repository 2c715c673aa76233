//go:build linux

package main

import "testing"

func TestAnatomy(t *testing.T) {
	a := anatomy{requests: 100, grown: []footprint{
		{resident: 1000 << 10, heap: 600 << 10, stacks: 200 << 10},
		{resident: 1200 << 10, heap: 600 << 10, stacks: 400 << 10},
		{resident: 1100 << 10, heap: 500 << 10, stacks: 400 << 10},
	}}
	const want = "" +
		"| memory of uwgate                           | a request |\n" +
		"| ---                                        | ---       |\n" +
		"| goroutines' stacks                         | 4.00 KiB  |\n" +
		"| heap in use                                | 6.00 KiB  |\n" +
		"| the rest: garbage, gaps, the runtime's own | 2.00 KiB  |\n" +
		"| all, resident                              | 11.0 KiB  |\n"
	if got := a.table().String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMetric(t *testing.T) {
	const text = "# HELP heap_bytes Of the heap.\nheap_bytes_total 7\nheap_bytes 1.5e+06\nstack_bytes many\n"
	for _, tt := range []struct {
		name string
		want float64
		ok   bool
	}{
		{"heap_bytes", 1500000, true},
		{"stack_bytes", 0, false},
		{"heap", 0, false},
	} {
		if got, ok := metric([]byte(text), tt.name); got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %v, %v, want %v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzMetric(f *testing.F) {
	f.Add([]byte("heap_bytes 1.5e+06\n"))
	f.Fuzz(func(t *testing.T, text []byte) { metric(text, "heap_bytes") })
}
