package main

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory tells the garbage collector how much memory the control group of this process
// may use, less a tenth, unless GOMEMLIMIT does. It returns that limit in bytes, 0 if there
// is none.
//
// The limit is soft: what requests need they get. --capture-memory, --spool-memory and
// --queue-bytes bound the largest parts of that.
func limitMemory() int64 {
	if os.Getenv("GOMEMLIMIT") != "" {
		return debug.SetMemoryLimit(-1)
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	limit := groupLimit(os.DirFS("/sys/fs/cgroup"), self) / 10 * 9
	if limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	return limit
}

// groupLimit returns the least memory limit of a control group and those that it is in, in
// bytes, 0 if there is none. self is /proc/self/cgroup, whose lines are ID:CONTROLLERS:PATH;
// of version 2 the controllers are empty (cgroups(7)).
func groupLimit(root fs.FS, self []byte) (least int64) {
	for line := range bytes.Lines(self) {
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(parts) < 3 {
			continue
		}
		dir, file := ".", "memory.max"
		switch {
		case parts[1] == "memory":
			dir, file = "memory", "memory.limit_in_bytes"
		case parts[1] != "":
			continue
		}
		// In a container the path may be that of the host: then only the root is there.
		for at := path.Join(dir, parts[2]); ; at = path.Dir(at) {
			if n := readLimit(root, path.Join(at, file)); n > 0 && (least == 0 || n < least) {
				least = n
			}
			if at == dir || at == "." {
				break
			}
		}
	}
	return least
}

// noLimit is what version 1 says for no limit, or more.
const noLimit = 1 << 60

func readLimit(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= noLimit {
		return 0 // max
	}
	return n
}
