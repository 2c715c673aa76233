package policy

import (
	"strings"
	"testing"
)

// What the fields as a whole decide is in the rows of TestResponse; here is
// what must hold for any bytes.
func FuzzCacheControl(f *testing.F) {
	for _, r := range responseRows {
		for _, line := range r.lines {
			if value, ok := strings.CutPrefix(line, "Cache-Control: "); ok {
				f.Add(value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		var cc cacheControl
		cc.parse(s)
		for _, l := range []lifetime{cc.maxAge, cc.sMaxAge} {
			if l.duration() < 0 || l.duration() > 0 && !l.given {
				t.Errorf("%q: %+v", s, l)
			}
			if l.given && !l.bad && !strings.Contains(s, "=") {
				t.Errorf("%q: a lifetime from nothing", s)
			}
		}
		// Directives put behind it outweigh whatever stands before, unless
		// it leaves a quote open, in which case they must refuse still.
		var all cacheControl
		all.parse(s + ",private,no-store,no-cache,max-age=1,s-maxage=1")
		inString := strings.Contains(s, `"`)
		if !inString && !(all.private && all.noStore && all.noCache && all.maxAge.given && all.sMaxAge.given) {
			t.Errorf("%q hides what follows: %+v", s, all)
		}
		if all.maxAge.duration() > cc.maxAge.duration() && cc.maxAge.given {
			t.Errorf("%q: a second lifetime lengthens the first", s)
		}
		// A second line can take away, never give back.
		two := cc
		two.parse(s)
		if two.noStore != cc.noStore || two.private != cc.private || two.noCache != cc.noCache || two.maxAge.duration() != cc.maxAge.duration() {
			t.Errorf("%q: the same line twice is %+v, once %+v", s, two, cc)
		}
	})
}
