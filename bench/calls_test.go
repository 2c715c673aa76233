//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCalls(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "strace.txt"))
	if err != nil {
		t.Fatal(err)
	}
	got := parseCalls(string(text), 1000)
	for name, want := range map[string]float64{"read": 3.27, "close": 2.002, "futex": 0.123, "total": 0, "syscall": 0} {
		if got[name] != want {
			t.Errorf("%s: got %v, want %v", name, got[name], want)
		}
	}
	const table = "" +
		"| system calls a request | a    | b    |\n" +
		"| ---                    | ---  | ---  |\n" +
		"| read                   | 3.27 | 0.00 |\n" +
		"| close                  | 2.00 | 2.50 |\n" +
		"| futex                  | 0.12 | 0.00 |\n" +
		"| all                    | 5.4  | 2.5  |\n"
	if text := callsTable(map[string]calls{"a": got, "b": {"close": 2.5}}, []string{"a", "b"}).String(); text != table {
		t.Errorf("got\n%s\nwant\n%s", text, table)
	}
}

func FuzzCalls(f *testing.F) {
	f.Add(" 30.29    0.007271           2      3270       270 read\n")
	f.Fuzz(func(t *testing.T, text string) { parseCalls(text, 10) })
}
