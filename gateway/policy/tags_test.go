package policy

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func TestTags(t *testing.T) {
	long := strings.Repeat("x", maxTag)
	many := make([]string, 0, maxTags/8)
	for i := range cap(many) {
		many = append(many, strconv.Itoa(1000000+i))
	}
	for _, tt := range []struct {
		name  string
		lines []string
		want  []string
		lost  bool
	}{
		{name: "none"},
		{name: "Surrogate-Key", lines: []string{"Surrogate-Key: a ab  a,b\ta"}, want: []string{"a", "ab", "a,b"}},
		{name: "xkey", lines: []string{"xkey: a b", "XKEY: c a"}, want: []string{"a", "b", "c"}},
		{name: "Cache-Tag", lines: []string{"Cache-Tag: a, a b ,,A,a.*[b"}, want: []string{"a", "a b", "A", "a.*[b"}},
		{name: "Edge-Cache-Tag", lines: []string{"Edge-Cache-Tag: a,b", "edge-cache-tag: c"}, want: []string{"a", "b", "c"}},
		{name: "Cache-Groups", lines: []string{`Cache-Groups: "a", "a, b";x=1`, `Cache-Groups: "\"c\\"`}, want: []string{"a", "a, b", `"c\`}},
		{name: "all", lines: []string{"Cache-Tag: a", "Surrogate-Key: b a", `Cache-Groups: "c", "b"`}, want: []string{"a", "b", "c"}},
		{name: "other bytes", lines: []string{"Surrogate-Key: \xc3\xbc \xff"}, want: []string{"\xc3\xbc", "\xff"}},
		{name: "empty", lines: []string{"Surrogate-Key:  ", "Cache-Tag: , ,", `Cache-Groups: `, `Cache-Groups: ""`}},

		{name: "no string", lines: []string{`Cache-Groups: "a", b`, "xkey: c"}, want: []string{"c"}, lost: true},
		{name: "an inner list", lines: []string{`Cache-Groups: ("a" "b")`}, lost: true},
		{name: "no list", lines: []string{`Cache-Groups: "a`}, lost: true},
		{name: "no list in two lines", lines: []string{`Cache-Groups: "a"`, `Cache-Groups: "b" "c"`}, lost: true},

		{name: "long", lines: []string{"xkey: " + long + " b"}, want: []string{long, "b"}},
		{name: "too long", lines: []string{"xkey: " + long + "x b"}, want: []string{"b"}, lost: true},
		{name: "many", lines: []string{"xkey: " + strings.Join(many, " ")}, want: many},
		{name: "too many", lines: []string{"xkey: " + strings.Join(many, " ") + " z"}, want: many, lost: true},
		{name: "the same often", lines: []string{"xkey: " + strings.Repeat("abc ", maxTags)}, want: []string{"abc"}},
	} {
		tags, lost := tagsOf(page(tt.lines...).Header, nil)
		if !slices.Equal(tags, tt.want) || lost != tt.lost {
			t.Errorf("%s: got %.100q, lost %v; want %.100q, %v", tt.name, tags, lost, tt.want, tt.lost)
		}
	}
}

func TestTagsOfPages(t *testing.T) {
	p := testPolicy()
	p.Rules = NewRules([]Rule{
		{ContentTypes: []string{"text/css"}, Tags: []string{"css"}},
		{PathPrefix: "/p", Tags: []string{"pages", "a"}},
	})
	judge := func(uri string, lines ...string) Subject {
		v := get("REQUEST_URI=" + uri)
		plan := p.Request(v)
		verdict := p.Response(v, plan, page(append(lines, "Cache-Control: max-age=60")...), testNow)
		if !verdict.Store() {
			t.Fatalf("%q: %+v", lines, verdict)
		}
		return p.PageSubject(v, plan, verdict)
	}
	if got, want := judge("/p", "xkey: a b"), []string{"a", "b", "pages"}; !slices.Equal(got.Tags, want) || got.TagsLost {
		t.Errorf("got %+v, want the tags %q", got, want)
	}
	if got := judge("/p.css", "Content-Type: text/css", "Cache-Groups: x"); !slices.Equal(got.Tags, []string{"css"}) || !got.TagsLost {
		t.Errorf("got %+v, want the tag css and more that are lost", got)
	}
	if got := judge("/q"); got.Tags != nil || got.TagsLost {
		t.Errorf("got %+v, want no tags", got)
	}
	if got := p.Response(get(), p.Request(get()), page("xkey: a", "Cache-Control: no-store"), testNow); got.Tags != nil {
		t.Errorf("got %+v, want no tags of a page that is not stored", got)
	}
}

func TestRequestTags(t *testing.T) {
	long := strings.Repeat("x", maxTag+1)
	v := get("+HTTP_SURROGATE_KEY=a b", "+HTTP_XKEY= b  c", "+HTTP_CACHE_TAG=d e,,a", "+HTTP_CACHE_TAG="+long, "+HTTP_CACHE_GROUPS=\"f\"", "+HTTP_X_KEY=g")
	if got, want := RequestTags(v), []string{"a", "b", "c", "d e", long}; !slices.Equal(got, want) {
		t.Errorf("got %.60q, want %.60q", got, want)
	}
	if got := RequestTags(get("HTTP_XKEY= ")); got != nil {
		t.Errorf("got %q, want none", got)
	}
	// Pages have lost a tag that is too long, and are found by any other.
	if tag := PurgeTag(long); len(tag) != maxTag || PurgeTag("a") != "a" {
		t.Errorf("a long tag is purged by one of %d bytes", len(tag))
	}
}

func TestStripTags(t *testing.T) {
	p := testPolicy()
	with := page("Surrogate-Key: a", "XKey: b", "cache-tag: c", "Edge-Cache-Tag: d", `Cache-Groups: "e"`, "X-Key: f").Header
	before := with.Clone()
	got := p.StripTags(with)
	if want := page(`Cache-Groups: "e"`, "X-Key: f").Header; !slices.Equal(got, want) || !slices.Equal(with, before) {
		t.Errorf("got %v of %v, want %v", got, with, want)
	}
	p.Hits.KeepTags = true
	if got := p.StripTags(with); !slices.Equal(got, with) {
		t.Errorf("got %v, want all", got)
	}
}

// A page with tags is stored, unless a cache in front of nginx needs them with hits.
func TestTagsAndTheLosslessGuard(t *testing.T) {
	for _, f := range tagFields {
		r := page("Content-Length: 5", "Cache-Control: max-age=60", f.name+": a", `Cache-Groups: "b"`)
		for _, tt := range []struct {
			format Format
			keeps  bool
			want   Reason
			head   bool // the stored head has them
		}{
			{FormatBody, false, MaxAge, false},
			{FormatBody, true, HeaderLoss, false},
			{FormatGzip, true, HeaderLoss, false},
			{FormatHTTP, false, MaxAge, false},
			{FormatHTTP, true, MaxAge, true},
		} {
			p, v := testPolicy(), get()
			p.Hits.Format, p.Hits.KeepTags = tt.format, tt.keeps
			if got := p.Response(v, p.Request(v), r, testNow); got.Reason != tt.want {
				t.Errorf("%s in format %s, kept %v: got %s, want %s", f.name, tt.format, tt.keeps, got.Reason, tt.want)
			}
			if got := strings.Contains(string(p.StoredHead(r, testNow)), f.name+": a"); got != tt.head {
				t.Errorf("%s in format %s, kept %v: stored %v", f.name, tt.format, tt.keeps, got)
			}
			if rule := headerRuleOf(uwsgi.Field{Name: f.name, Value: "a"}); !rule.isTags {
				t.Errorf("%s is no header with tags in the table", f.name)
			}
		}
	}
}

func FuzzTags(f *testing.F) {
	f.Add("xkey", "a ab a", "b")
	f.Add("Cache-Groups", `"a", "b";c`, `("a")`)
	f.Add("Cache-Tag", "a, b c", ",")
	f.Fuzz(func(t *testing.T, name, first, second string) {
		h := uwsgi.Header{{Name: name, Value: first}, {Name: name, Value: second}}
		tags, _ := tagsOf(h, nil)
		size := 0
		for i, tag := range tags {
			size += len(tag) + 1
			if tag == "" || len(tag) > maxTag || slices.Contains(tags[:i], tag) {
				t.Errorf("%q: %q, %q: the tag %q", name, first, second, tag)
			}
		}
		if size > maxTags {
			t.Errorf("%d bytes of tags", size)
		}
	})
}
