package policy

import (
	"slices"
	"testing"

	"uwgate/uwsgi"
)

func TestAlign(t *testing.T) {
	fields := func(pairs ...string) (h uwsgi.Header) {
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	tests := []struct {
		name      string
		got, want uwsgi.Header
	}{
		{"empty", nil, fields("Vary", "Accept-Encoding")},
		{"validators", fields("last-modified", "x", "A", "b", "Expires", "x", "ETag", "x"), fields("A", "b", "Vary", "Accept-Encoding")},
		{"there already", fields("vary", "accept-encoding", "A", "b"), fields("Vary", "accept-encoding", "A", "b")},
		{"beside others", fields("Vary", "Accept-Language", "A", "b"), fields("Vary", "Accept-Language, Accept-Encoding", "A", "b")},
		{"lines joined", fields("Vary", "A, , b", "X", "y", "Vary", "B,Accept-Encoding", "Vary", "Accept-Encoding"), fields("Vary", "A, b, Accept-Encoding", "X", "y")},
		{"Cache-Control stays", fields("Cache-Control", "max-age=60"), fields("Cache-Control", "max-age=60", "Vary", "Accept-Encoding")},
	}
	for _, tt := range tests {
		given := tt.got.Clone()
		if got := Align(tt.got); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if !slices.Equal(tt.got, given) {
			t.Errorf("%s: the header given was changed to %v", tt.name, tt.got)
		}
	}
}
