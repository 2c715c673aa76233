package main

import (
	"os"
	"runtime"
)

// spareHeap is how much garbage, in bytes, may gather on top of what the runtime lets
// gather by itself.
const spareHeap = 32 << 20

// allowGarbage has the collector run less often, until the function that it returns is
// called. What lives of a gateway's heap is a few megabytes, so that it would run for
// every few hundred requests. It is ballast that makes the heap look larger: memory that
// is never touched, for which the system has no page. A GOGC or GOMEMLIMIT in the
// environment is somebody's own idea, and left alone.
func allowGarbage() (stop func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	ballast := make([]byte, spareHeap)
	return func() { runtime.KeepAlive(&ballast) }
}
