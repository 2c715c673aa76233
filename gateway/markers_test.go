package gateway

import (
	"strconv"
	"testing"
	"time"
)

func TestMarks(t *testing.T) {
	var s markers
	now := time.Now()
	if s.of("a", true, now) != unmarked {
		t.Error("there is a mark before there was one")
	}
	s.clear("a")
	s.set("a", true, uncacheable, now)
	s.set("b", true, apart, now)
	s.set("b", false, apart, now)
	s.clear("b")
	s.set("v", false, uncacheableWhole, now)
	s.set("both", true, apart, now)
	s.set("both", false, uncacheable, now)
	s.set("both", true, uncacheableWhole, now)
	for _, tt := range []struct {
		name     string
		key      string
		stranger bool
		at       time.Duration
		want     marker
	}{
		{"set", "a", true, 0, uncacheable},
		{"almost over", "a", true, markerLife - 1, uncacheable},
		{"over", "a", true, markerLife, unmarked},
		{"for strangers only", "a", false, 0, unmarked},
		{"cleared", "b", true, 0, unmarked},
		{"cleared for others", "b", false, 0, unmarked},
		{"for others", "v", false, 0, uncacheableWhole},
		{"not for strangers", "v", true, 0, unmarked},
		{"set again", "both", true, 0, uncacheableWhole},
		{"each for itself", "both", false, 0, uncacheable},
		{"another key", "c", true, 0, unmarked},
	} {
		if got := s.of(tt.key, tt.stranger, now.Add(tt.at)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	s.set("a", true, uncacheable, now.Add(markerLife))
	if s.of("a", true, now.Add(2*markerLife-1)) != uncacheable {
		t.Error("a key that is marked again does not stay so for longer")
	}
}

func TestMarksForgetTheOldest(t *testing.T) {
	var s markers
	now := time.Now()
	for i := range 4 * maxMarkers {
		s.set(strconv.Itoa(i), i%2 == 0, uncacheable, now.Add(time.Duration(i)))
	}
	const recent = maxMarkers / 8
	kept, old := 0, 0
	for i := range 4 * maxMarkers {
		switch has := s.of(strconv.Itoa(i), i%2 == 0, now) == uncacheable; {
		case has && i >= 4*maxMarkers-recent:
			kept++
		case has && i < maxMarkers:
			old++
		}
	}
	// By chance some of the last ones have met in the same few places.
	if kept < recent*99/100 {
		t.Errorf("%d of the last %d keys are there", kept, recent)
	}
	if old > maxMarkers/20 {
		t.Errorf("%d of the first %d keys are still there", old, maxMarkers)
	}
}
