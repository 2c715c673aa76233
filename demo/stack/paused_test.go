package stack

import "testing"

func TestStateOf(t *testing.T) {
	for _, tt := range []struct {
		name, stat, state string
		group             int
	}{
		{"stopped", "12 (memcached) T 1 11 11 0 -1", "T", 11},
		{"a name with parentheses", "12 (a) R (b) S 1 10 11 0 -1", "S", 10},
		{"cut off", "12 (memcached) T", "", 0},
		{"empty", "", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if state, group := stateOf([]byte(tt.stat)); state != tt.state || group != tt.group {
				t.Errorf("%q of group %d, want %q of %d", state, group, tt.state, tt.group)
			}
		})
	}
}
