package policy

import (
	"slices"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func TestNotModified(t *testing.T) {
	const strong, weak = `ETag: "a"`, `ETag: W/"a"`
	modified := "Last-Modified: " + httpDate(-60)
	tests := []struct {
		name   string
		lines  []string
		vars   []string
		unsent bool // the 304
	}{
		{"not asked", []string{strong, modified}, nil, true},

		{"a cookie would be lost", []string{strong, "Set-Cookie: a=b"}, []string{`HTTP_IF_NONE_MATCH="a"`}, true},
		{"a redirection within nginx would be lost", []string{strong, "X-Accel-Redirect: /f"}, []string{`HTTP_IF_NONE_MATCH="a"`}, true},

		// RFC 9110 §13.1.2, compared weakly (§8.8.3.2)
		{"same tag", []string{strong}, []string{`HTTP_IF_NONE_MATCH="a"`}, false},
		{"another tag", []string{strong}, []string{`HTTP_IF_NONE_MATCH="b"`}, true},
		{"tags have case", []string{strong}, []string{`HTTP_IF_NONE_MATCH="A"`}, true},
		{"the client's is weak", []string{strong}, []string{`HTTP_IF_NONE_MATCH=W/"a"`}, false},
		{"the page's is weak", []string{weak}, []string{`HTTP_IF_NONE_MATCH="a"`}, false},
		{"both are weak", []string{weak}, []string{`HTTP_IF_NONE_MATCH=W/"a"`}, false},
		{"first of a list", []string{strong}, []string{`HTTP_IF_NONE_MATCH="a", "b"`}, false},
		{"last of a list", []string{strong}, []string{`HTTP_IF_NONE_MATCH="c",W/"b" ,	"a"`}, false},
		{"not in the list", []string{strong}, []string{`HTTP_IF_NONE_MATCH="c", "b"`}, true},
		{"empty members, §5.6.1.2", []string{strong}, []string{`HTTP_IF_NONE_MATCH=, ,"b",,"a",`}, false},
		{"a comma in a tag", []string{`ETag: "a,b"`}, []string{`HTTP_IF_NONE_MATCH="x", "a,b"`}, false},
		{"a part of a tag with a comma", []string{strong}, []string{`HTTP_IF_NONE_MATCH="x,"a","`}, true},
		{"a backslash is no escape", []string{`ETag: "a\"`}, []string{`HTTP_IF_NONE_MATCH="a\"`}, false},
		{"bytes above ASCII", []string{"ETag: \"\xe9\""}, []string{"HTTP_IF_NONE_MATCH=\"\xe9\""}, false},
		{"the empty tag", []string{`ETag: ""`}, []string{`HTTP_IF_NONE_MATCH=""`}, false},
		{"any", []string{strong}, []string{"HTTP_IF_NONE_MATCH=*"}, false},
		{"any, and the page has no tag", nil, []string{"HTTP_IF_NONE_MATCH=*"}, false},
		{"any in a list", []string{strong}, []string{`HTTP_IF_NONE_MATCH=*, "b"`}, true},
		{"the page has no tag", []string{modified}, []string{`HTTP_IF_NONE_MATCH="a"`}, true},
		{"malformed: no quotes", []string{strong}, []string{"HTTP_IF_NONE_MATCH=a"}, true},
		{"malformed: an open quote", []string{strong}, []string{`HTTP_IF_NONE_MATCH="a`}, true},
		{"malformed behind the match", []string{strong}, []string{`HTTP_IF_NONE_MATCH="a", b`}, true},
		{"malformed: no comma", []string{strong}, []string{`HTTP_IF_NONE_MATCH="a" "b"`}, true},
		{"malformed: w in lower case", []string{strong}, []string{`HTTP_IF_NONE_MATCH=w/"a"`}, true},
		{"malformed: a space in a tag", []string{`ETag: "a b"`}, []string{`HTTP_IF_NONE_MATCH="a b"`}, true},
		{"malformed: the page's tag", []string{"ETag: a"}, []string{"HTTP_IF_NONE_MATCH=a"}, true},
		{"malformed: two tags of the page's", []string{`ETag: "a", "b"`}, []string{`HTTP_IF_NONE_MATCH="a"`}, true},
		{"empty", []string{strong}, []string{"HTTP_IF_NONE_MATCH="}, true},
		{"given twice", []string{strong}, []string{`+HTTP_IF_NONE_MATCH="b"`, `+HTTP_IF_NONE_MATCH="a"`}, true},
		{"the same twice", []string{strong}, []string{`+HTTP_IF_NONE_MATCH="a"`, `+HTTP_IF_NONE_MATCH="a"`}, false},
		{"the page has two tags", []string{strong, `ETag: "b"`}, []string{`HTTP_IF_NONE_MATCH="a"`}, true},

		// RFC 9110 §13.1.3
		{"modified then", []string{modified}, []string{"HTTP_IF_MODIFIED_SINCE=" + httpDate(-60)}, false},
		{"modified before", []string{modified}, []string{"HTTP_IF_MODIFIED_SINCE=" + httpDate(-59)}, false},
		{"modified since", []string{modified}, []string{"HTTP_IF_MODIFIED_SINCE=" + httpDate(-61)}, true},
		{"in the RFC 850 form, §5.6.7", []string{modified}, []string{"HTTP_IF_MODIFIED_SINCE=Sunday, 01-Mar-26 11:59:00 GMT"}, false},
		{"modified nobody knows when", []string{strong}, []string{"HTTP_IF_MODIFIED_SINCE=" + httpDate(0)}, true},
		{"malformed date", []string{modified}, []string{"HTTP_IF_MODIFIED_SINCE=yesterday"}, true},
		{"malformed date of the page", []string{"Last-Modified: x"}, []string{"HTTP_IF_MODIFIED_SINCE=x"}, true},
		{"date with a length", []string{modified}, []string{"HTTP_IF_MODIFIED_SINCE=" + httpDate(0) + "; length=5"}, true},
		{"date given twice", []string{modified}, []string{"+HTTP_IF_MODIFIED_SINCE=" + httpDate(0), "+HTTP_IF_MODIFIED_SINCE=" + httpDate(1)}, true},
		{"the same date twice", []string{modified}, []string{"+HTTP_IF_MODIFIED_SINCE=" + httpDate(0), "+HTTP_IF_MODIFIED_SINCE=" + httpDate(0)}, false},

		// RFC 9110 §13.2.2: which one counts
		{"If-None-Match alone counts, no", []string{strong, modified}, []string{`HTTP_IF_NONE_MATCH="b"`, "HTTP_IF_MODIFIED_SINCE=" + httpDate(0)}, true},
		{"If-None-Match alone counts, yes", []string{strong, modified}, []string{`HTTP_IF_NONE_MATCH="a"`, "HTTP_IF_MODIFIED_SINCE=" + httpDate(-99)}, false},
		{"If-None-Match alone counts, malformed", []string{strong, modified}, []string{"HTTP_IF_NONE_MATCH=b", "HTTP_IF_MODIFIED_SINCE=" + httpDate(0)}, true},
		{"If-Match too", []string{strong}, []string{`HTTP_IF_NONE_MATCH="a"`, `HTTP_IF_MATCH="b"`}, true},
		{"If-Unmodified-Since too", []string{strong}, []string{`HTTP_IF_NONE_MATCH="a"`, "HTTP_IF_UNMODIFIED_SINCE=" + httpDate(-99)}, true},
		{"Range too", []string{strong}, []string{`HTTP_IF_NONE_MATCH="a"`, "HTTP_RANGE=bytes=0-1"}, false},

		{"HEAD", []string{strong}, []string{"REQUEST_METHOD=HEAD", `HTTP_IF_NONE_MATCH="a"`}, true},
		{"POST", []string{strong}, []string{"REQUEST_METHOD=POST", "HTTP_IF_NONE_MATCH=*"}, true},
		{"no method", []string{strong}, []string{"-REQUEST_METHOD", "HTTP_IF_NONE_MATCH=*"}, true},
		{"two methods", []string{strong}, []string{"+REQUEST_METHOD=POST", "+REQUEST_METHOD=GET", "HTTP_IF_NONE_MATCH=*"}, true},
		{"the same method twice", []string{strong}, []string{"+REQUEST_METHOD=GET", "HTTP_IF_NONE_MATCH=*"}, false},
	}
	for _, tt := range tests {
		if got := NotModified(get(tt.vars...), page(tt.lines...).Header); got == tt.unsent {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestNotModifiedHeader(t *testing.T) {
	tests := []struct {
		name      string
		got, want []string
	}{
		{"empty", nil, nil},
		{"of a page with a tag",
			[]string{`etag: "a"`, "Last-Modified: x", "Content-Type: text/html", "Content-Length: 5", "Cache-Control: max-age=60", "X-Frame-Options: DENY", "Date: x", "Server: x"},
			[]string{`etag: "a"`, "Cache-Control: max-age=60", "Date: x"}},
		{"of a page without", []string{"last-modified: x", "Set-Cookie: a=b"}, []string{"last-modified: x"}},
		{"all there is, in order",
			[]string{"Vary: A", "Expires: x", "ETag: x", "Date: x", "Content-Location: /", "Cache-Control: x", "vary: B", "Age: 1", "CDN-Cache-Control: x", "Surrogate-Control: x"},
			[]string{"Vary: A", "Expires: x", "ETag: x", "Date: x", "Content-Location: /", "Cache-Control: x", "vary: B", "Age: 1", "CDN-Cache-Control: x", "Surrogate-Control: x"}},
	}
	for _, tt := range tests {
		given := fields(tt.got)
		if got := NotModifiedHeader(given); !slices.Equal(got, fields(tt.want)) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if !slices.Equal(given, fields(tt.got)) {
			t.Errorf("%s: the header given was changed to %v", tt.name, given)
		}
	}
}

func fields(lines []string) (h uwsgi.Header) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

func FuzzNotModified(f *testing.F) {
	f.Add(`"a"`, `W/"b", "a"`, "x")
	f.Add(`W/""`, `*`, `y,`)
	f.Fuzz(func(t *testing.T, opaque, before, behind string) {
		etag := `"` + opaque + `"`
		is := func(tag, list string) bool {
			return NotModified(uwsgi.Vars{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "HTTP_IF_NONE_MATCH", Value: list}}, uwsgi.Header{{Name: "ETag", Value: tag}})
		}
		clean := !strings.ContainsFunc(opaque, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f })
		if got := is(etag, `"x" , W/`+etag+` ,`); got != clean {
			t.Errorf("%q is itself: %v", etag, got)
		}
		if is(etag, before) != is("W/"+etag, before) {
			t.Errorf("%q in %q depends on being weak", etag, before)
		}
		// A list says nothing that does not stand in it.
		if list := before + "," + behind; list != "*" && is(etag, list) && !strings.Contains(list, etag) {
			t.Errorf("%q is said to be in %q", etag, list)
		}
	})
}
