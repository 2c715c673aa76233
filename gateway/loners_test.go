package gateway

import (
	"strconv"
	"testing"
	"time"
)

func TestLoners(t *testing.T) {
	var s loners
	now := time.Now()
	if s.has("a", now) {
		t.Error("there is a key before there was one")
	}
	s.remove("a")
	s.add("a", now)
	s.add("b", now)
	s.remove("b")
	for _, tt := range []struct {
		name string
		key  string
		at   time.Duration
		want bool
	}{
		{"added", "a", 0, true},
		{"almost forgotten", "a", aloneFor - 1, true},
		{"forgotten", "a", aloneFor, false},
		{"removed", "b", 0, false},
		{"another", "c", 0, false},
	} {
		if got := s.has(tt.key, now.Add(tt.at)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	s.add("a", now.Add(aloneFor))
	if !s.has("a", now.Add(2*aloneFor-1)) {
		t.Error("a key that is added again does not stay for longer")
	}
}

func TestLonersForgetTheOldest(t *testing.T) {
	var s loners
	now := time.Now()
	for i := range 4 * maxAlone {
		s.add(strconv.Itoa(i), now.Add(time.Duration(i)))
	}
	const recent = maxAlone / 8
	kept, old := 0, 0
	for i := range 4 * maxAlone {
		switch has := s.has(strconv.Itoa(i), now); {
		case has && i >= 4*maxAlone-recent:
			kept++
		case has && i < maxAlone:
			old++
		}
	}
	// By chance some of the last ones have met in the same few places.
	if kept < recent*99/100 {
		t.Errorf("%d of the last %d keys are there", kept, recent)
	}
	if old > maxAlone/20 {
		t.Errorf("%d of the first %d keys are still there", old, maxAlone)
	}
}
