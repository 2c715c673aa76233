package parity

import (
	"testing"

	"uwgate/uwsgi"
)

// Headers count if the guard refuses pages for them, and nginx can add them.
func TestHeadersThatCount(t *testing.T) {
	for _, tt := range []struct {
		f    uwsgi.Field
		want bool
	}{
		{uwsgi.Field{Name: "X-Frame-Options", Value: "DENY"}, true},
		{uwsgi.Field{Name: "content-language", Value: "de"}, true},
		{uwsgi.Field{Name: "X-Cache", Value: "HIT"}, false},
		{uwsgi.Field{Name: "Cache-Control", Value: "no-store"}, false},
		{uwsgi.Field{Name: "Refresh", Value: "5"}, false}, // which belongs to one page
	} {
		if got := counts(tt.f); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.f, got, tt.want)
		}
	}
}
