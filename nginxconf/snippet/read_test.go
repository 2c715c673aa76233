package snippet_test

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/nginxtest"
	"uwgate/nginxconf/parity"
	"uwgate/nginxconf/snippet"
)

// The reader finds in a printed site what the site was made of.
func TestReadSites(t *testing.T) {
	for _, f := range []policy.Format{policy.FormatBody, policy.FormatGzip, policy.FormatHTTP} {
		for name, s := range sites() {
			if s.Fragments != nil { // with lookups of their own
				continue
			}
			s.Format, s.GzipFlag = f, 2
			t.Run(string(f)+"/"+name, func(t *testing.T) {
				dir := nginxtest.Frame(t, "", text(t, &s))
				c, err := nginxconf.Read(filepath.Join(dir, "nginx.conf"), "")
				if err != nil || len(c.Gaps) > 0 || len(c.Lookups) != 1 {
					t.Fatalf("got %v", err)
				}
				compareLookup(t, &s, c.Lookups[0])
				compareTemplate(t, &s, c)
				want := 4 // of misses, of those who are not looked up, of parts, of those that come back
				if f == policy.FormatHTTP {
					want = 2 // of all, and of error_page and try_files that the site adds
				}
				if got := len(c.Passes); got != want {
					t.Errorf("%d passes, want %d", got, want)
				}
			})
		}
	}
}

func compareLookup(t *testing.T, s *snippet.Site, l *nginxconf.Lookup) {
	t.Helper()
	if format := (parity.Lookup{Lookup: l}).Format(); format != s.Format || !slices.Equal(l.Names, s.Names) {
		t.Errorf("format %s, names %q", format, l.Names)
	}
	if l.Key.Expanded != snippet.Key(s) || l.Key.Late != "" || !l.Key.Asked.IsZero() || !slices.Equal(opaque(l), madeByMaps(s)) {
		t.Errorf("key %+v, want %s", l.Key, snippet.Key(s))
	}
	if l.ConnectTimeout.Value != 200*time.Millisecond || l.ReadTimeout.Value != 500*time.Millisecond {
		t.Errorf("timeouts %v, %v", l.ConnectTimeout, l.ReadTimeout)
	}
	var servers []string
	for _, srv := range l.Memcached.Servers {
		servers = append(servers, strings.TrimSuffix(srv.Text, " max_fails=0"))
	}
	if !slices.Equal(servers, s.Servers) || l.Memcached.Name != "memcached"+as(s) || l.Memcached.Implicit {
		t.Errorf("upstream %+v", l.Memcached)
	}
	hashed := len(s.Servers) > 1 && s.Hash != cachewriter.All
	if (l.Memcached.Method == "hash") != hashed || l.Memcached.Ketama != (hashed && s.Hash == cachewriter.Consistent) {
		t.Errorf("method %q, ketama %v", l.Memcached.Method, l.Memcached.Ketama)
	}
	if l.Misses == nil || !strings.HasPrefix(l.Misses.Upstream.Servers[0].Text, s.Gateways[0]+" max_fails=") || handedKey(l.Misses).Value == "" {
		t.Fatalf("misses %+v", l.Misses)
	}
	if s.Format != policy.FormatHTTP {
		compareHits(t, s, l)
	}
}

// A gateway that reads the configuration computes the same key, whatever the site's name.
func compareTemplate(t *testing.T, s *snippet.Site, c *nginxconf.Config) {
	t.Helper()
	got, err := parity.SettingsFor(c, listened(s))
	if err != nil {
		t.Fatal(err)
	}
	want := cmp.Or(s.Key, snippet.DefaultKey)
	if s.ForwardedProto {
		want = snippet.ForwardedKey
	}
	if s.IgnoreArgs != nil {
		want = "" // only nginx can compute these
	}
	if got.Key != want || !got.HandedOver || len(got.Unknown) > 0 {
		t.Errorf("key %q, want %q; handed over: %v; unknown %v", got.Key, want, got.HandedOver, got.Unknown)
	}
}

// opaque returns the variables of the key that the reader cannot compute.
func opaque(l *nginxconf.Lookup) (names []string) {
	for _, v := range l.Key.Opaque {
		names = append(names, v.Name)
	}
	return names
}

// madeByMaps returns the variables of the key that the site's maps define.
func madeByMaps(s *snippet.Site) (names []string) {
	if s.Key == "" {
		names = append(names, "$visitor"+as(s))
	}
	if s.ForwardedProto {
		names = append(names, "$visitors_scheme"+as(s))
	}
	if len(s.IgnoreArgs) > 0 {
		names = append(names, "$page_uri"+as(s))
	}
	return names
}

// as returns what the site's variables and upstreams have at their end.
func as(s *snippet.Site) string {
	if s.Name == "" {
		return ""
	}
	return "_" + s.Name
}

// handedKey returns the pass's CACHE_KEY.
func handedKey(p *nginxconf.Pass) nginxconf.Param {
	i := slices.IndexFunc(p.Params, func(p nginxconf.Param) bool { return p.Name == "CACHE_KEY" })
	if i < 0 {
		return nginxconf.Param{}
	}
	return p.Params[i]
}

func compareHits(t *testing.T, s *snippet.Site, l *nginxconf.Lookup) {
	t.Helper()
	if want := "$not_asked" + as(s) + " ="; l.If.Value != want || len(l.Diverted) > 0 { // and an empty word
		t.Errorf("looked up if %q, want %q; diverted %v", l.If.Value, want, l.Diverted)
	}
	hitType := l.DefaultType.Value
	if l.Charset.Value != "off" {
		hitType += "; charset=" + l.Charset.Value
		if !slices.Contains(l.CharsetTypes, l.DefaultType.Value) {
			t.Errorf("%s is not in %q", l.DefaultType.Value, l.CharsetTypes)
		}
	}
	if want := s.HitType; hitType != want && (want != "" || hitType != "text/html; charset=utf-8") {
		t.Errorf("type of hits %q, want %q", hitType, want)
	}
	if len(l.Headers) != len(s.Adds) {
		t.Fatalf("headers %+v", l.Headers)
	}
	for i, h := range l.Headers {
		if h.Name != s.Adds[i].Name || !slices.Equal(h.Values, []string{s.Adds[i].Value}) {
			t.Errorf("got %+v, want %+v", h, s.Adds[i])
		}
	}
}
