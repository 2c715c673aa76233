//go:build linux

package main

import (
	"testing"
	"time"
)

func TestStoredLines(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       stored
		ok         bool
	}{
		{
			"stored", "ts=1795502884.003992 gid=2 type=item_store key=http%3A%2F%2Fa%2Fb status=stored cmd=set ttl=60 clsid=1 cfd=24 size=2\n",
			stored{"http://a/b", time.Unix(1795502884, 3992000)}, true,
		},
		{"not stored", "ts=1795502884.003992 gid=2 type=item_store key=a status=not_stored cmd=add\n", stored{}, false},
		{"a lookup", "ts=1795502884.003992 gid=2 type=item_get key=a status=found\n", stored{}, false},
		{"left out", "skipped=12\n", stored{}, false},
		{"no time", "ts=x.1 type=item_store key=a status=stored\n", stored{}, false},
		{"no fraction", "ts=12 type=item_store key=a status=stored\n", stored{}, false},
		{"bad key", "ts=1.1 type=item_store key=%2 status=stored\n", stored{}, false},
		{"empty", "\n", stored{}, false},
	} {
		got, ok := parseStored(tt.line)
		if ok != tt.ok || ok && (got.key != tt.want.key || !got.at.Equal(tt.want.at)) {
			t.Errorf("%s: got %v, %v, want %v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzStored(f *testing.F) {
	f.Add("ts=1795502884.003992 gid=2 type=item_store key=%2Fa status=stored cmd=set")
	f.Fuzz(func(t *testing.T, line string) { parseStored(line) })
}
