package cachewriter

import "testing"

func TestIsPending(t *testing.T) {
	f := startFake(t)
	release := make(chan struct{})
	f.on(onCommand("set ", act{hold: release}))
	w := newWriter(t, f.addr)
	if w.IsPending(Entry{Key: "k"}) {
		t.Error("pending before it was put")
	}
	put(t, w, page("k", "v"))
	if !w.IsPending(Entry{Key: "k"}) || w.IsPending(Entry{Key: "other"}) {
		t.Error("queued, or being written, and not pending")
	}
	close(release)
	await(t, "written", func() bool { return !w.IsPending(Entry{Key: "k"}) })
	wantValue(t, f, "k", "v")
}
