package policy

import (
	"net/http"
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	want := time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC)
	for _, s := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", // RFC 9110 §5.6.7
		"Mon, 06 Nov 1994 08:49:37 GMT", // the date counts
	} {
		if got, ok := parseDate(s); !ok || !got.Equal(want) {
			t.Errorf("%q: got %v, %v", s, got, ok)
		}
	}
	if got, ok := parseDate("Wed Nov 16 08:49:37 1994"); !ok || got.Day() != 16 {
		t.Errorf("asctime with two digits: got %v, %v", got, ok)
	}
	for _, s := range []string{
		"", "0", "-1", "now", "Sun", "Sun,", "784111777", "1994-11-06T08:49:37Z",
		"Sun,  06 Nov 1994 08:49:37 GMT", "Sun, 06  Nov 1994 08:49:37 GMT", "Sun, 06 Nov  1994 08:49:37 GMT", // two spaces
		"Sun, 06 Nov 1994  08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37  GMT", " Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 1994 08:9:37 GMT", "Sun, 06 Nov 1994 08:49:7 GMT", "Sun, 6 Nov 1994 08:49:37 GMT", // one digit
		"Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT", "Sunday, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 06 Nov 1994 08:49:37 EST", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 gmt",
		"sun, 06 nov 1994 08:49:37 GMT", "SUN, 06 NOV 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Xyz, 06 Nov 1994 08:49:37 GMT", ", 06 Nov 1994 08:49:37 GMT",
		"Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37.5 GMT", "Sun, 06 Nov 1994 08.49.37 GMT", "Sun, 06 Nov 1994 084937 GMT", "Sun, 06 Nov 1994, 08:49:37 GMT",
		"Sun Nov 6 08:49:37 1994", "Sun Nov 06 08:49:37 1994", "Sun Nov  6 8:49:37 1994", "Sun Nov  6 08:49:37 1994 GMT", "06 Nov 1994 08:49:37 GMT", "Sun 06 Nov 1994 08:49:37 GMT",
	} {
		if got, ok := parseDate(s); ok {
			t.Errorf("%q is taken for %v", s, got)
		}
	}
}

// A date is the same to http.ParseTime, and what that writes is one.
func FuzzParseDate(f *testing.F) {
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT")
	f.Add("Sunday, 06-Nov-94 08:49:37 GMT")
	f.Add("Sun Nov  6 08:49:37 1994")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseDate(s)
		if !ok {
			return
		}
		if lax, err := http.ParseTime(s); err != nil || !lax.Equal(got) {
			t.Errorf("%q: got %v, and http.ParseTime says %v, %v", s, got, lax, err)
		}
		if again, ok := parseDate(got.UTC().Format(http.TimeFormat)); !ok || !again.Equal(got) {
			t.Errorf("%q: written anew it is %v, %v", s, again, ok)
		}
	})
}
