package purge

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
)

// storeOf returns a Writer for a server that nobody is.
func storeOf(t *testing.T) *cachewriter.Writer {
	t.Helper()
	ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	w := &cachewriter.Writer{Ring: ring}
	t.Cleanup(func() { w.Close(context.Background()) })
	return w
}

// What could not be purged, and will not be, is not done.
func TestNothingIsDone(t *testing.T) {
	closed := storeOf(t)
	if err := closed.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	template, err := policy.ParseTemplate("$host$request_uri")
	if err != nil {
		t.Fatal(err)
	}
	keys := policy.Keys{Template: template}
	for _, tt := range []struct {
		name       string
		store      *cachewriter.Writer
		r          Request
		status     string
		incomplete string
	}{
		{"a tag, when the store is closed", closed, Request{Tags: []string{"a"}}, Incomplete, "this gateway is being stopped, and has not purged it: purge again"},
		{"a URL, when the store is closed", closed, Request{URLs: []string{"http://a.example/"}}, Incomplete, "this gateway is being stopped"},
		{"a soft purge, when the store is closed", closed, Request{Tags: []string{"a"}, Soft: true}, Incomplete, "this gateway is being stopped"},
		{"a dry run, when nobody listens", storeOf(t), Request{Tags: []string{"a"}, DryRun: true}, Incomplete, "connection refused"},
		{"when nobody listens", storeOf(t), Request{Tags: []string{"a"}}, Pending, ""},
	} {
		p := &Purger{Store: tt.store}
		r := p.Do(t.Context(), Order{Request: &tt.r, Policy: &policy.Policy{Keys: keys}})
		if r.Status != tt.status || len(r.Servers) != 1 || !strings.Contains(r.Servers[0].Incomplete, tt.incomplete) {
			t.Errorf("%s: got %+v, want %s %q", tt.name, r, tt.status, tt.incomplete)
		}
	}
}

// The last purges are remembered, the latest first, and not more than ten of them.
func TestRecent(t *testing.T) {
	p := &Purger{HideQuery: true}
	long := strings.Repeat("\u00e9", maxItem)
	for i := range maxRecent + 5 {
		o := Order{Client: "10.0.0.7", Via: "PURGE", Policy: &policy.Policy{}, Request: &Request{Tags: []string{fmt.Sprint(i), long}, URLs: []string{"http://a.example/?secret"}}}
		running := p.begin(o)
		if got := p.Recent()[0]; got.Outcome != "" || got.Mode != "hard" {
			t.Errorf("under way: got %+v", got)
		}
		p.end(o, running, &Result{Status: Done, Found: 2, Deleted: 1, Took: 0.5})
	}
	all := p.Recent()
	if len(all) != maxRecent {
		t.Fatalf("%d are remembered, want %d", len(all), maxRecent)
	}
	got := all[0]
	if got.Purged[0] != "url http://a.example/" || got.Purged[1] != "tag 14" || len(got.Purged[2]) > maxItem+len("…") || !utf8.ValidString(got.Purged[2]) {
		t.Errorf("purged %q", got.Purged)
	}
	if got.Client != "10.0.0.7" || got.Via != "PURGE" || got.Outcome != Done || got.Found != 2 || got.Deleted != 1 || got.Took != 0.5 {
		t.Errorf("got %+v", got)
	}
}
