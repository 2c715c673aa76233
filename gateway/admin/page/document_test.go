package page

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"uwgate/gateway"
	"uwgate/gateway/admin"
	"uwgate/gateway/purge"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// render makes the status page of in.
func render(t *testing.T, in *input) string {
	t.Helper()
	p := &Page{}
	b, err := p.make(&view{Title: "Status", Version: "1.2.3", Observe: in.Status.Observe, Form: form{Token: "T", CanExplain: true, Scopes: scopes}, Overview: overviewOf(in)})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fill sets all fields: texts to s, numbers to n, and lists to one element.
func fill(v reflect.Value, s string, n int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n))
	case reflect.Uint64:
		v.SetUint(uint64(n))
	case reflect.Float64:
		v.SetFloat(float64(n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), s, n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), s, n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, s, n)
		fill(value, s, n)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(now.Add(-time.Minute)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), s, n)
		}
	}
}

// filled is an input with something in each field.
func filled(s string) *input {
	in := &input{Status: &admin.Status{}, Report: &admin.Report{}, IsListening: true, Now: now}
	fill(reflect.ValueOf(in.Status).Elem(), s, 3)
	fill(reflect.ValueOf(in.Report).Elem(), s, 3)
	return in
}

// nodes returns the elements of a document.
func nodes(t *testing.T, text string) (all []*html.Node) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// Whatever visitors make up stays text, in each field that is shown.
func TestNothingEscapes(t *testing.T) {
	const nasty = `x"'><script>alert(1)</script><img src=//evil.example onerror=alert(1)>javascript:alert(1)`
	scripts := 0
	text := render(t, filled(nasty))
	if strings.Count(text, "&lt;script&gt;") < 10 {
		t.Error("the texts are not on the page")
	}
	for _, n := range nodes(t, text) {
		switch n.Data {
		case "script":
			scripts++
		case "img", "iframe", "object", "embed", "base":
			t.Errorf("there is a %s", n.Data)
		}
	}
	if scripts != 1 {
		t.Errorf("%d scripts", scripts)
	}
}

// checkDocument finds what keeps people from using a page, or sends their browser elsewhere.
func checkDocument(t *testing.T, text string) {
	t.Helper()
	all := nodes(t, text)
	ids, count := map[string]int{}, map[string]int{}
	labels := map[string]bool{}
	for _, n := range all {
		count[n.Data]++
		if id := attr(n, "id"); id != "" {
			ids[id]++
		}
		if n.Data == "label" {
			labels[attr(n, "for")] = true
		}
	}
	if count["h1"] != 1 || count["main"] != 1 || count["style"] != 1 || count["script"] != 1 {
		t.Errorf("elements: %v", count)
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%d elements have the id %s", n, id)
		}
	}
	for _, n := range all {
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
			if slices.Contains([]string{"href", "src", "action", "formaction", "poster"}, a.Key) && a.Val != "data:," && (strings.Contains(a.Val, ":") || strings.HasPrefix(a.Val, "//")) {
				t.Errorf("<%s %s=%q> leads elsewhere", n.Data, a.Key, a.Val)
			}
			if a.Key == "aria-labelledby" && ids[a.Val] == 0 {
				t.Errorf("nothing has the id %s", a.Val)
			}
		}
		switch n.Data {
		case "html":
			if attr(n, "lang") != "en" {
				t.Error("the page does not say its language")
			}
		case "input", "select":
			if attr(n, "type") != "hidden" && !labels[attr(n, "id")] {
				t.Errorf("%s %s has no label", n.Data, attr(n, "name"))
			}
		case "th":
			if attr(n, "scope") == "" {
				t.Errorf("a th without scope: %v", n.FirstChild)
			}
		case "button":
			if attr(n, "type") == "" {
				t.Errorf("a button without type")
			}
		case "svg":
			if attr(n, "aria-hidden") == "" && (attr(n, "role") != "img" || attr(n, "aria-label") == "") {
				t.Error("a drawing without words")
			}
		}
	}
}

func TestDocument(t *testing.T) {
	p := &Page{}
	show := func(change func(v *view)) string {
		v := &view{Title: "T", Version: "1.2.3", Form: form{Token: "T", CanExplain: true, Scopes: scopes}}
		change(v)
		b, err := p.make(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	empty := &input{Status: &admin.Status{}, Report: &admin.Report{}, Now: now}
	for name, text := range map[string]string{
		"full":    render(t, filled("x")),
		"empty":   render(t, empty),
		"problem": show(func(v *view) { v.Problem = "P" }),
		"confirm": show(func(v *view) { v.Confirm = &confirmation{What: "W"} }),
		"explain": show(func(v *view) { v.Explanation = explanationOf("A\n  b  c\n\nNo.\n") }),
		"purged": show(func(v *view) {
			v.Purged = &purged{}
			v.Purged.Result = &purge.Result{Status: purge.Done, Servers: []purge.Server{{Server: "a", Pending: true, Incomplete: "b", Error: "c"}}}
		}),
	} {
		t.Run(name, func(t *testing.T) { checkDocument(t, text) })
	}
}

// A link to the form holds the whole URL, whatever is in its query.
func TestLinks(t *testing.T) {
	r := &admin.Report{Savings: []gateway.Saving{{Host: "a.example", URL: "a.example/x?to=https://b.example/&y=1"}}}
	got, want := savingTable(r).Rows[0][4], "?url=http%3A%2F%2Fa.example%2Fx%3Fto%3Dhttps%3A%2F%2Fb.example%2F%26y%3D1#ask"
	if got.Link != want || got.Text != r.Savings[0].URL {
		t.Errorf("got %+v, want %s", got, want)
	}
}

// The page is as long as a page should be, whatever a site has, and begins with the worst.
func TestBounds(t *testing.T) {
	in := filled("x")
	s := in.Status
	s.Pools, s.Hits.Nginx.Pages, s.Slowest, s.Reasons = nil, nil, nil, map[string]uint64{}
	for i := range 500 {
		p := admin.PoolStatus{Name: fmt.Sprintf("pool-%d", i), Requests: 10}
		for j := range 4 {
			p.Servers = append(p.Servers, admin.ServerStatus{Name: fmt.Sprintf("10.0.%d.%d:3031", i, j), Up: i != 321 && (i != 123 || j != 2)})
		}
		s.Pools = append(s.Pools, p)
		s.Reasons[fmt.Sprintf("reason-%d", i)] = uint64(i)
	}
	for i := range 10_000 {
		s.Hits.Nginx.Pages = append(s.Hits.Nginx.Pages, admin.PageStatus{Host: "a.example", URI: fmt.Sprintf("/page-%d", i)})
		s.Slowest = append(s.Slowest, gateway.SlowRequest{Host: "a.example", URI: fmt.Sprintf("/slow-%d", i)})
	}
	text := render(t, in)
	if len(text) > 150_000 {
		t.Errorf("%d bytes", len(text))
	}
	for id, most := range map[string]int{"pools": maxPools, "servers": maxServers, "hottest": maxPages, "slowest": maxSlow, "verdicts": maxReasons} {
		i := slices.IndexFunc(overviewOf(in).Tables, func(t *table) bool { return t.ID == id })
		if tab := overviewOf(in).Tables[i]; len(tab.Rows) != most || tab.More == "" {
			t.Errorf("%s: %d rows, %q", id, len(tab.Rows), tab.More)
		}
	}
	pools, servers := poolTable(s.Pools), serverTable(s.Pools)
	if pools.Rows[0][0].Text != "pool-321" || pools.Rows[0][1].State != bad || pools.Rows[1][0].Text != "pool-123" || pools.Rows[1][1].Text != "3 of 4 up" || pools.More != "and 450 other pools with less trouble" {
		t.Errorf("pools begin with %+v, %+v; %s", pools.Rows[0], pools.Rows[1], pools.More)
	}
	for i := range 5 {
		if servers.Rows[i][2].Text != "down" && servers.Rows[i][2].Text != "down, backup" {
			t.Errorf("server %d: %+v", i, servers.Rows[i])
		}
	}
}

var (
	themes  = regexp.MustCompile(`(?s):root \{(.*?)\}`)
	colours = regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6})`)
)

// Everybody can read it, in both themes: WCAG 2.1, 1.4.3 and 1.4.11.
func TestContrast(t *testing.T) {
	found := themes.FindAllStringSubmatch(style, -1)
	if len(found) != 2 {
		t.Fatalf("%d themes", len(found))
	}
	for i, theme := range found {
		of := map[string]float64{}
		for _, c := range colours.FindAllStringSubmatch(theme[1], -1) {
			of[c[1]] = luminance(t, c[2])
		}
		check := func(least float64, fronts, backs string) {
			for _, f := range strings.Fields(fronts) {
				for _, b := range strings.Fields(backs) {
					light, dark := max(of[f], of[b]), min(of[f], of[b])
					if ratio := (light + 0.05) / (dark + 0.05); ratio < least {
						t.Errorf("theme %d: %s on %s has %.2f, less than %v", i, f, b, ratio, least)
					}
				}
			}
		}
		check(4.5, "text quiet link", "page card")
		check(4.5, "good warn bad", "page card")
		check(4.5, "text warn", "warnback")
		check(4.5, "text bad", "badback")
		check(4.5, "text", "back")
		check(3, "focus hit miss fine error line quiet", "card")
	}
}

// luminance is WCAG's relative luminance of a colour.
func luminance(t *testing.T, hex string) (l float64) {
	t.Helper()
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		l += weight * c
	}
	return l
}

// The page of a fixed status; UPDATE=1 writes it.
func TestGolden(t *testing.T) {
	in := filled("x")
	s := in.Status
	s.Observe, in.Report.Observe = false, false
	in.Report.Savings[0].Stored = false
	s.Hits.Source, s.Hits.Nginx.Lines = admin.SourceNginx, map[string]uint64{"counted": 3}
	s.Hits.Nginx.Hosts[0].Requests = map[string]uint64{"hit": 9, "miss": 1}
	s.Reload.Error, s.Pools[0].Name = "", ""
	r := 0.931
	s.Hits.Ratio, s.Hits.Nginx.Hosts[0].Ratio, s.Store[0].Memcached.Ratio, s.Store[0].Memcached.Error = &r, &r, &r, ""
	for i := range 60 {
		s.Traffic = append(s.Traffic, admin.Sample{At: now.Add(-time.Duration(i) * time.Minute), Seconds: 60, Requests: uint64(40 + i), Errors: uint64(i % 7 / 6), Hits: uint64(900 - i), Misses: uint64(40 + i), Took: 0.02})
	}
	got, path := render(t, in), filepath.Join("testdata", "status.html")
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page is not that of %s; look at the difference, and run with UPDATE=1:\n%s", path, got)
	}
}
