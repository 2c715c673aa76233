//go:build linux

package main

import (
	"bytes"
	"testing"
	"time"
)

func TestScripts(t *testing.T) {
	for _, tt := range []struct {
		path string
		want script
		err  string
	}{
		{"/pass/4096/000000001", script{"pass", 4096}, ""},
		{"/store/19", script{"store", 19}, ""},
		{"/pass/67108864/1", script{"pass", 64 << 20}, ""},
		{"/sink/0/1", script{"sink", 0}, ""},
		{"/held", script{"held", 0}, ""},
		{"/release", script{"release", 0}, ""},
		{"/", script{}, "no script"},
		{"/other/1/1", script{}, "no script"},
		{"/pass/x/1", script{}, "no size"},
		{"/pass/-1/1", script{}, "no size"},
		{"/store/67108864/1", script{}, "no size"},
	} {
		got, err := parsePath(tt.path)
		if got != tt.want || !says(err, tt.err) {
			t.Errorf("%s: got %v, %v, want %v, %q", tt.path, got, err, tt.want, tt.err)
		}
	}
}

func FuzzScript(f *testing.F) {
	f.Add("/pass/4096/1")
	f.Add("/store/4096/1")
	f.Fuzz(func(t *testing.T, path string) {
		if s, err := parsePath(path); err == nil && s.size < 0 {
			t.Errorf("size %d", s.size)
		}
	})
}

// TestReplies reads replies as the load generator does.
func TestReplies(t *testing.T) {
	for _, s := range []script{{"pass", 0}, {"pass", 4096}, {"store", 10}, {"store", 4096}, {"pass", 3 << 20}} {
		r := newReply(s)
		var a response
		done, err := a.take(r.next())
		if err != nil || a.status != 200 || a.body != int64(s.size-r.more) || done != (r.more == 0) {
			t.Errorf("%v: status %d, %d bytes and %d more, %v", s, a.status, a.body, r.more, err)
		}
	}
}

func TestStamp(t *testing.T) {
	r := newReply(script{"store", 4096})
	for range 2 { // the second one differs
		before := time.Now()
		_, body, _ := bytes.Cut(r.next(), headEnd)
		got, err := readStamp(body)
		if err != nil || got.Before(before.Truncate(0)) || got.After(time.Now()) {
			t.Errorf("got %v, %v, want some time after %v", got, err, before)
		}
	}
	for _, body := range []string{"", "123", "<p>Nothing to see in this page."} {
		if _, err := readStamp([]byte(body)); err == nil {
			t.Errorf("%q has a stamp", body)
		}
	}
}
