package policy

import (
	"strings"
	"testing"

	"github.com/dunglas/httpsfv"

	"uwgate/uwsgi"
)

// What the fields decide is in the rows of TestResponse; here is what must
// hold for any bytes.
func FuzzTargeted(f *testing.F) {
	for _, r := range responseRows {
		for _, line := range r.lines {
			name, value, _ := strings.Cut(line, ": ")
			if equalFold(name, fieldCDN) || equalFold(name, fieldSurrogate) {
				f.Add(value, "public")
			}
		}
	}
	f.Add("max-age=1", "max-age=2")
	f.Fuzz(func(t *testing.T, line, second string) {
		lines := []string{strings.Trim(line, " \t"), strings.Trim(second, " \t")}
		h := uwsgi.Header{{Name: fieldCDN, Value: lines[0]}, {Name: fieldCDN, Value: lines[1]}}
		got := parseTargeted(h, fieldCDN)

		// Taken member by member, lines keep their grammar exactly if they do as
		// a whole, but for a string that goes on in the next line.
		dict, err := httpsfv.UnmarshalDictionary(lines)
		valid := err == nil && len(dict.Names()) > 0
		for _, line := range lines {
			d, err := httpsfv.UnmarshalDictionary([]string{line})
			valid = valid && err == nil && len(d.Names()) > 0
		}
		if got.valid != valid {
			t.Errorf("%q: valid = %v, the dictionary's error is %v", lines, got.valid, err)
		}
		if got.valid && got.maxAge.given {
			last, _ := dict.Get("max-age")
			item, _ := last.(httpsfv.Item)
			n, isInteger := item.Value.(int64)
			if d := got.maxAge.duration(); d != 0 && (!isInteger || int64(d.Seconds()) != min(n, maxSeconds)) {
				t.Errorf("%q: max-age is %v, in the dictionary %v", lines, d, item.Value)
			}
		}
		for _, l := range []lifetime{got.maxAge, got.sMaxAge} {
			if l.duration() < 0 {
				t.Errorf("%q: %+v", lines, l)
			}
		}

		// A refusal refuses whatever stands before it, unless that is a string.
		if !strings.Contains(line, `"`) {
			all := parseTargeted(uwsgi.Header{{Name: fieldSurrogate, Value: line + ",no-store,private,no-cache"}}, fieldSurrogate)
			if !all.words.noStore || !all.words.private || !all.words.noCache {
				t.Errorf("%q hides what follows: %+v", line, all.words)
			}
		}
	})
}

func TestCutGrace(t *testing.T) {
	for member, want := range map[string]string{
		"max-age=60":       "max-age=60",
		"max-age=60+30":    "max-age=60",
		"max-age=60+30;ab": "max-age=60;ab",
		"max-age=60+":      "max-age=60+",
		"max-age=60+x":     "max-age=60+x",
		"max-age=60+3x":    "max-age=60x", // as broken as before
		"max-age=60+3+4":   "max-age=60+4",
		"content=a+1":      "content=a+1",
		"":                 "",
	} {
		if got := cutGrace(member); got != want {
			t.Errorf("%q: got %q, want %q", member, got, want)
		}
	}
}
