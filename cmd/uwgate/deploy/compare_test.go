package deploy

import (
	"slices"
	"strings"
	"testing"
)

func TestShape(t *testing.T) {
	for _, tt := range []struct {
		name, a, b, page string
		fits             bool
	}{
		{"equal", "1 2 3", "1 2 3", "1 2 3", true},
		{"another", "1 2 3", "1 2 3", "1 2 4", false},
		{"shorter", "1 2 3", "1 2 3", "1 2", false},
		{"longer", "1 2 3", "1 2 3", "1 2 3 4", false},
		{"noise", "1 x 3 4", "1 y 3 4", "1 z 3 4", true},
		{"more noise", "1 x 3 4", "1 y y y 3 4", "1 3 4", true},
		{"noise at the start", "x 2 3", "y 2 3", "2 3", true},
		{"noise at the end", "1 2 x", "1 2 y", "1 2 z z", true},
		{"a change beside noise", "1 x 3 4", "1 y 3 4", "1 z 5 4", false},
		{"a change before noise", "1 2 x 3 4", "1 2 y 3 4", "1 5 x 3 4", false},
		{"twice the same after noise", "1 x 3 4 3 4", "1 y 3 4 3 4", "1 3 4 3 4 3 4", true},
		{"inserted", "1 x 3 4 5", "1 y 3 4 5", "1 z 3 6 4 5", false},
	} {
		s := shapeOf(strings.Fields(tt.a), strings.Fields(tt.b))
		if got := s.fits(strings.Fields(tt.page)); got != tt.fits || (len(s.noise) > 0) != (tt.a != tt.b) {
			t.Errorf("%s: got %v with %q", tt.name, got, s.parts)
		}
	}
	if s := shapeOf(strings.Fields("1 a b c d"), strings.Fields("1 e f g h")); !s.vague {
		t.Errorf("a page of noise: got %q", s.parts)
	}
}

func TestDifference(t *testing.T) {
	numbered := strings.Repeat("same\n", 100)
	for _, tt := range []struct{ name, a, b, want string }{
		{"none", "a\nb", "a\nb", ""},
		{"a line", "a\n  b\nc\nd", "a\n  x\nc\nd", "- b\n+ x"},
		{"added", "a\nc\nd", "a\nb\nc\nd", "+ b"},
		{"removed", "a\nb\nc\nd", "a\nc\nd", "- b"},
		{"at the end", "a\nb", "a", "- b"},
		{"much", numbered + "1\n2\n3\n4\n5\nend\nend", numbered + "end\nend", "- 1\n- 2\n- 3\n- … 2 more"},
		{"everything", "a\nb", "c\nd", "- a\n- b\n+ c\n+ d"},
		{"control bytes", "a\x1b[0m", "a", "- \"a\\x1b[0m\"\n+ a"},
		{"one long line", strings.Repeat("<p>x</p>", 50) + "<b>1</b>" + strings.Repeat("<i>y</i>", 50), strings.Repeat("<p>x</p>", 50) + "<b>2</b>" + strings.Repeat("<i>y</i>", 50), "- 1</b>\n+ 2</b>"},
	} {
		if got := strings.Join(difference(pieces(tt.a), pieces(tt.b), nil), "\n"); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
	fresh, again := pieces("a\nnoise 1\n<p>text</p>\nnew\nc\nd"), pieces("a\nnoise 2\n<p>text</p>\nnew\nc\nd")
	if got := difference(pieces("a\nnoise 0\n<p>text</p>\nold\nc\nd"), fresh, shapeOf(fresh, again).noise); !slices.Equal(got, []string{"- old", "+ new"}) {
		t.Errorf("beside noise: got %q", got)
	}
	var many []string
	for range 50 {
		many = append(many, "a", "same", "same")
	}
	other := slices.Clone(many)
	for i := range other {
		if other[i] == "a" {
			other[i] = "b"
		}
	}
	if got := difference(many, other, nil); len(got) != maxDiffLines+1 || got[maxDiffLines] != "…" {
		t.Errorf("of many differences: got %q", got)
	}
	if got := short(strings.Repeat("é", 1000)); len([]rune(got)) != maxDiffWidth+1 {
		t.Errorf("a long line: got %d letters", len([]rune(got)))
	}
}

// What two pages have in common and their hunks make up both.
func FuzzHunks(f *testing.F) {
	f.Add("a\nb\nc", "a\nx\nc")
	f.Add("a\n\n\nb", "\n\na")
	f.Fuzz(func(t *testing.T, x, y string) {
		a, b := pieces(x), pieces(y)
		i, j := 0, 0
		for _, h := range hunks(a, b) {
			if !slices.Equal(a[i:h.a], b[j:h.b]) || h.a == h.aEnd && h.b == h.bEnd {
				t.Fatalf("%q, %q: %+v", a, b, h)
			}
			i, j = h.aEnd, h.bEnd
		}
		if !slices.Equal(a[i:], b[j:]) {
			t.Fatalf("%q, %q: the ends differ", a, b)
		}
		if s := shapeOf(a, b); !strings.Contains(x+y, gap) && (!s.fits(a) || !s.fits(b)) {
			t.Errorf("%q, %q: %q", a, b, s.parts)
		}
	})
}
