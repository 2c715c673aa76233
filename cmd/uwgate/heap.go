package main

import (
	"os"
	"runtime"
)

// spareHeap is the size of garbage, in bytes, that the collector tolerates in addition to
// its own rule.
const spareHeap = 32 << 20

// allowGarbage makes the garbage collector run less often, until the function that it
// returns is called. The live heap of a gateway has a few megabytes, so the collector would
// run every few hundred requests. A ballast makes the heap look larger; it is never touched,
// so the system has no pages for it. With GOGC or GOMEMLIMIT in the environment, or a low
// limit of memory, it does nothing.
func allowGarbage(limit int64) (stop func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" || limit > 0 && limit < 8*spareHeap {
		return func() {}
	}
	ballast := make([]byte, spareHeap)
	return func() { runtime.KeepAlive(&ballast) }
}
