package main

import (
	"testing"
	"testing/fstest"
)

func TestGroupLimit(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for _, tt := range []struct {
		name, self string
		root       fstest.MapFS
		want       int64
	}{
		{"version 2", "0::/system.slice/uwgate.service\n", fstest.MapFS{"system.slice/uwgate.service/memory.max": file("536870912\n")}, 512 << 20},
		{"of a group above", "0::/a/b\n", fstest.MapFS{"a/memory.max": file("1000"), "a/b/memory.max": file("max\n")}, 1000},
		{"the least of all", "0::/a/b\n", fstest.MapFS{"a/memory.max": file("1000"), "a/b/memory.max": file("2000\n")}, 1000},
		{"in a container", "0::/\n", fstest.MapFS{"memory.max": file("1000\n")}, 1000},
		{"in a container, with the path of the host", "0::/docker/123\n", fstest.MapFS{"memory.max": file("1000\n")}, 1000},
		{"none", "0::/a\n", fstest.MapFS{"a/memory.max": file("max\n")}, 0},
		{"no files", "0::/a\n", fstest.MapFS{}, 0},
		{"version 1", "9:cpu:/x\n5:memory:/docker/1\n0::/\n", fstest.MapFS{"memory/docker/1/memory.limit_in_bytes": file("1000\n"), "memory/memory.limit_in_bytes": file("9223372036854771712\n")}, 1000},
		{"nonsense", "hello\n0::\n", fstest.MapFS{"memory.max": file("much")}, 0},
	} {
		if got := groupLimit(tt.root, []byte(tt.self)); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
