package warm

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

const urlset = `<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
<url><loc> https://h/a?x=1&amp;y=2
 </loc><lastmod>2026-01-01</lastmod><image:image><image:loc>https://h/a.png</image:loc></image:image></url>
<url><image:image><image:loc>https://h/b.png</image:loc></image:image><loc><![CDATA[https://h/b&c]]></loc></url>
<url><priority>1</priority></url>
<url><loc/></url>
</urlset>`

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

// files are sitemaps by location.
type files map[string]string

func (f files) open(_ context.Context, location string) (io.ReadCloser, error) {
	text, ok := f[location]
	if !ok {
		return nil, errors.New("404 Not Found")
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func index(locations ...string) string {
	return "<sitemapindex><sitemap><loc>" + strings.Join(locations, "</loc></sitemap>\n<sitemap><loc>") + "</loc><lastmod>x</lastmod></sitemap></sitemapindex>"
}

func collect(t *testing.T, s *Sitemaps, locations ...string) (pages, errs []string) {
	t.Helper()
	for page, err := range s.Pages(t.Context(), locations...) {
		if err != nil {
			errs = append(errs, err.Error())
		} else {
			pages = append(pages, page)
		}
	}
	return pages, errs
}

func TestSitemaps(t *testing.T) {
	all := files{
		"xml":                urlset,
		"bom":                "\ufeff" + urlset,
		"gz":                 zipped(urlset),
		"gzgz":               zipped(zipped(urlset)),
		"text":               "https://h/1\r\n\n# a comment\nhttps://h/2",
		"robots":             "User-agent: *\nDisallow: /private\nSITEMAP: https://h/one.xml\n",
		"https://h/one.xml":  "<urlset><url><loc>https://h/one</loc></url></urlset>",
		"https://h/two.xml":  "<urlset><url><loc>https://h/two</loc></url></urlset>",
		"index":              index("https://h/one.xml", "https://h/none.xml", "https://h/two.xml", "https://h/one.xml"),
		"loop":               index("https://h/loop.xml"),
		"https://h/loop.xml": index("https://h/loop.xml", "https://h/two.xml"),
		"foreign":            index("https://h/one.xml", "https://evil.example/s.xml"),
		"file":               index("/etc/passwd", "file:///etc/passwd"),
		"deep":               index("https://h/d1"), "https://h/d1": index("https://h/d2"), "https://h/d2": index("https://h/d3"), "https://h/d3": index("https://h/d4"),
		"many":         index("https://h/m1", "https://h/m2", "https://h/m3", "https://h/m4"),
		"https://h/m1": "https://h/1", "https://h/m2": "https://h/2", "https://h/m3": "https://h/3", "https://h/m4": "https://h/4",
		"html":    "<!DOCTYPE html><html><body>",
		"rss":     "<rss><channel><link>https://h/</link></channel></rss>",
		"cut":     "<urlset><url><loc>https://h/whole</loc></url><url><loc>https://h/ha",
		"entity":  `<!DOCTYPE a [<!ENTITY e "x">]><urlset><url><loc>https://h/&e;</loc></url></urlset>`,
		"empty":   " \n",
		"json":    `{"a": 1}`[1:4],
		"long":    "<urlset><url><loc>https://h/1</loc></url><!--" + strings.Repeat("x", 3<<20) + "--></urlset>",
		"nested":  strings.Repeat("<urlset>", 100),
		"longloc": "<urlset><url><loc>https://h/" + strings.Repeat("x", 9000) + "</loc></url><url><loc>https://h/2</loc></url></urlset>",
		"cutgz":   zipped(urlset)[:100],
	}
	for _, tt := range []struct {
		location string
		pages    []string
		err      string // of one error; empty: none
	}{
		{"xml", []string{"https://h/a?x=1&y=2", "https://h/b&c"}, ""},
		{"bom", []string{"https://h/a?x=1&y=2", "https://h/b&c"}, ""},
		{"gz", []string{"https://h/a?x=1&y=2", "https://h/b&c"}, ""},
		{"gzgz", []string{"https://h/a?x=1&y=2", "https://h/b&c"}, ""},
		{"text", []string{"https://h/1", "https://h/2"}, ""},
		{"robots", []string{"https://h/one"}, ""},
		{"index", []string{"https://h/one", "https://h/two"}, "sitemap https://h/none.xml: 404 Not Found"},
		{"loop", []string{"https://h/two"}, ""},
		{"foreign", []string{"https://h/one"}, "sitemap https://evil.example/s.xml: it is on another host; allow that with --host evil.example"},
		{"file", nil, `by their URLs, not "/etc/passwd"`},
		{"deep", nil, "sitemap https://h/d4: it is in an index in an index, 4 deep"},
		{"many", []string{"https://h/1", "https://h/2", "https://h/3"}, "more than 4 sitemaps"},
		{"html", nil, "an HTML page"},
		{"rss", nil, "not with <rss>"},
		{"cut", []string{"https://h/whole"}, "it is no XML: XML syntax error on line 1: unexpected EOF"},
		{"entity", nil, "invalid character entity &e;"},
		{"empty", nil, "it is empty"},
		{"json", nil, "neither XML nor a list of URLs"},
		{"long", []string{"https://h/1"}, "over 1 MiB"},
		{"nested", nil, "too deep"},
		{"longloc", nil, "over 8 KiB"},
		{"cutgz", nil, "unexpected EOF"},
		{"none", nil, "sitemap none: 404 Not Found"},
	} {
		s := &Sitemaps{Open: all.open, Hosts: &Hosts{Globs: []string{"h"}}, MaxFiles: 10}
		if tt.location == "many" {
			s.MaxFiles = 4
		}
		pages, errs := collect(t, s, tt.location)
		if !slices.Equal(pages, tt.pages) || (tt.err == "") != (len(errs) == 0) || tt.err != "" && !strings.Contains(errs[0], tt.err) {
			t.Errorf("%s: got %q, %q, want %q, %q", tt.location, pages, errs, tt.pages, tt.err)
		}
	}
}

// A sitemap that unfolds to more than its bound is an error, however small it is.
func TestSitemapBomb(t *testing.T) {
	bomb := zipped("<urlset>" + strings.Repeat("<url><loc>https://h/"+strings.Repeat("x", 1000)+"</loc></url>", 2_000))
	s := &Sitemaps{Open: files{"bomb": bomb}.open, MaxBytes: 1 << 20}
	n, last := 0, error(nil)
	for _, err := range s.Pages(t.Context(), "bomb") {
		n, last = n+1, err
	}
	if n < 1000 || n > 1030 || last == nil || !strings.Contains(last.Error(), "longer than 1 MiB") {
		t.Errorf("got %d and %v", n, last)
	}
}

// countedReader counts what was read.
type countedReader struct {
	io.Reader
	n int
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// A sitemap is read as its pages are wanted, and is never whole in memory.
func TestSitemapIsStreamed(t *testing.T) {
	var pages strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&pages, "<url><loc>https://h/%01000d</loc></url>", i)
	}
	text := &countedReader{Reader: strings.NewReader("<urlset>" + pages.String() + "</urlset>")}
	open := func(context.Context, string) (io.ReadCloser, error) { return io.NopCloser(text), nil }
	n := 0
	for range (&Sieve{}).Sift((&Sitemaps{Open: open}).Pages(t.Context(), "text")) {
		if n++; text.n > n<<10+64<<10 {
			t.Fatalf("%d bytes were read for page %d", text.n, n)
		}
	}
	if n != 1000 {
		t.Errorf("got %d pages", n)
	}
}

func TestSieve(t *testing.T) {
	s := &Sieve{Site: "https://h", Hosts: &Hosts{Globs: []string{"h"}}, Limit: 3}
	source := func(yield func(string, error) bool) {
		for _, raw := range []string{"/a", "https://h/a#x", "https://other/a", "nonsense", "https://h/b", "/c", "/b", "/d", "/e"} {
			if !yield(raw, nil) {
				return
			}
		}
		t.Error("the source was read to its end")
	}
	var pages []string
	errs := 0
	for page, err := range s.Sift(source) {
		if err != nil {
			errs++
		} else {
			pages = append(pages, page)
		}
	}
	left := s.Left()
	if want := []string{"https://h/a", "https://h/b", "https://h/c"}; !slices.Equal(pages, want) || errs != 1 {
		t.Errorf("got %q and %d errors", pages, errs)
	}
	if left.Repeated != 2 || left.Foreign["other"] != 1 || left.Limit != 3 {
		t.Errorf("left out: %+v", left)
	}
	if want := "2 that were listed before; pages of other hosts, which --host allows: other 1; all after the first 3 (--limit)"; left.String() != want {
		t.Errorf("got %q", left.String())
	}
	var many Left
	for i := range 50 {
		many.foreign(fmt.Sprint(i))
	}
	if len(many.Foreign) != maxForeign+1 || many.Foreign[""] != 30 {
		t.Errorf("of many hosts: %v", many.Foreign)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{urlset, index("https://h/"), "https://h/\n", zipped(urlset), "<urlset><url>"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		parse(bytes.NewReader(b), 1<<20, func(_ bool, loc string) bool {
			if len(loc) > maxLine {
				t.Errorf("a location of %d bytes", len(loc))
			}
			return true
		})
	})
}
