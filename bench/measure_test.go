//go:build linux

package main

import (
	"errors"
	"testing"
	"time"
)

func TestTexts(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{asDuration(980), "0.98 µs"},
		{asDuration(47600), "47.6 µs"},
		{asDuration(123456), "123 µs"},
		{asDuration(1234567), "1.23 ms"},
		{asDuration(2e9), "2.00 s"},
		{asCount(12345.6), "12346"},
		{asRatio(0.954), "0.95"},
		{asKiB(10240), "10.0 KiB"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// TestRatio: a machine that is slower in the second round does not change the ratio.
func TestRatio(t *testing.T) {
	ours := []sample{{cpu: 50}, {cpu: 500}, {cpu: 55}}
	theirs := []sample{{cpu: 100}, {cpu: 1000}, {cpu: 100}}
	if got := cpuRequest.ratio(ours, theirs); got != 0.5 {
		t.Errorf("got %v, want 0.5", got)
	}
	if got := cpuRequest.median(ours); got != 55 {
		t.Errorf("median: got %v, want 55", got)
	}
}

func TestSample(t *testing.T) {
	got := (&tally{
		begun: 250, responses: 200, bytes: 4 << 20, took: 2 * time.Second,
		used:      usage{cpu: 40 * time.Millisecond, user: 10 * time.Millisecond, system: 30 * time.Millisecond, load: 20 * time.Millisecond, worker: 10 * time.Millisecond},
		latencies: []time.Duration{4, 1, 3, 2}, failed: 1, failure: errors.New("closed"),
	}).sample()
	if got.cpu != 200*time.Microsecond || got.cpuMiB != 10*time.Millisecond || got.rate != 100 || got.p50 != 2 || got.p999 != 4 {
		t.Errorf("got %+v", got)
	}
	if got.system != 150*time.Microsecond || got.load != 100*time.Microsecond || got.worker != 50*time.Microsecond {
		t.Errorf("got %v in the kernel, %v of the load and %v of the worker, want 150, 100 and 50 µs", got.system, got.load, got.worker)
	}
	if !says(got.failure, "1 of 250 requests failed, the first with: closed") {
		t.Errorf("failure: got %v", got.failure)
	}
}

func TestJudge(t *testing.T) {
	stores := trial{stores: true, claims: []claim{{cpuRequest, fastRouter, 1.4, 1.2}}}
	passes := trial{claims: []claim{{cpuRequest, fastRouter, 1.0, 0}}}
	for _, tt := range []struct {
		name  string
		trial trial
		ours  sample
		want  string
	}{
		{"aim", stores, sample{cpu: 120, stored: 1}, "met, and the aim"},
		{"bound", stores, sample{cpu: 140, stored: 1}, "met"},
		{"over", stores, sample{cpu: 141, stored: 1}, "not met"},
		{"cheap for want of storing", stores, sample{cpu: 100, stored: 0.9}, "not met: only 90.0 % stored"},
		{"no aim", passes, sample{cpu: 100}, "met"},
		{"cheap, because requests failed", passes, sample{cpu: 10, failure: errors.New("closed")}, "not met: uwgate failed requests"},
	} {
		found := tt.trial.judge(results{uwgate: {tt.ours}, fastRouter: {{cpu: 100}}})
		if got := found[0].verdict(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestClaims: each trial measures the targets of its claims.
func TestClaims(t *testing.T) {
	for _, tr := range trials() {
		if len(tr.claims) == 0 || tr.among[0] != fastRouter || tr.among[1] != uwgate {
			t.Errorf("%s: claims %d, targets %v", tr.name, len(tr.claims), tr.among)
		}
		if _, err := parsePath(tr.path); err != nil {
			t.Errorf("%s: %v", tr.name, err)
		}
	}
}
