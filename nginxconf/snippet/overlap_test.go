package snippet_test

import (
	"strings"
	"testing"

	"uwgate/nginxconf/snippet"
)

func TestOverlap(t *testing.T) {
	many := strings.Repeat("*a", 200)
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"sessionid", "SessionID", true},
		{"session", "sessionid", false},
		{"session*", "sessionid", true},
		{"session*", "session", true},
		{"*_id", "my_*", true},
		{"*_id", "*_key", false},
		{"a*b*c", "*cb*", true},
		{"a*b", "b*a", false},
		{"*", "", true},
		{"*", "**", true},
		{"a", "", false},
		{many + "b", many + "c", false}, // ends in time
	} {
		if got, other := snippet.Overlap(tt.a, tt.b), snippet.Overlap(tt.b, tt.a); got != tt.want || other != tt.want {
			t.Errorf("%.20s and %.20s: got %v, %v", tt.a, tt.b, got, other)
		}
	}
}
