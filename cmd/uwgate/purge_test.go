package main

import (
	"strings"
	"testing"

	"uwgate/gateway/purge"
)

// What people read of a result.
func TestWritePurge(t *testing.T) {
	one := purge.Server{Server: "127.0.0.1:11211", Found: 1, Deleted: 1}
	for _, tt := range []struct {
		name   string
		order  purge.Request
		result purge.Result
		want   string // the last line
	}{
		{"a page", purge.Request{}, purge.Result{Found: 1, Deleted: 1}, "1 page found, 1 deleted, in 3ms"},
		{"pages", purge.Request{}, purge.Result{Found: 2, Deleted: 2}, "2 pages found, 2 deleted, in 3ms"},
		{"none", purge.Request{}, purge.Result{}, "0 pages found, 0 deleted, in 3ms"},
		{"soft", purge.Request{Soft: true}, purge.Result{Found: 3, Deleted: 1, Kept: 2}, "3 pages found, 1 deleted, 2 served until they have been fetched again, in 3ms"},
		{"awaited", purge.Request{Soft: true, Wait: true}, purge.Result{Found: 1, Kept: 1, Fetched: 1}, "1 page found, 0 deleted, 1 served until it has been fetched again, 1 fetched again, in 3ms"},
		{"dry", purge.Request{DryRun: true, Soft: true}, purge.Result{Found: 1, Kept: 1}, "1 page found, none deleted (--dry-run), in 3ms"},
	} {
		tt.result.Took, tt.result.Servers = 0.003, []purge.Server{one}
		var b strings.Builder
		if err := writePurge(&b, &tt.order, &tt.result); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(b.String(), "\n\n"+tt.want+"\n") {
			t.Errorf("%s: got\n%s\nwant %s", tt.name, b.String(), tt.want)
		}
	}
}

// What is left to do is an error that says what happens next.
func TestUnfinishedPurge(t *testing.T) {
	if err := unfinished(&purge.Result{Servers: []purge.Server{{Server: "a:1", Found: 1, Deleted: 1}}}); err != nil {
		t.Errorf("got %v", err)
	}
	if err := unfinished(&purge.Result{Failed: 1}); err == nil || !strings.Contains(err.Error(), "1 page could not be fetched again, and was deleted") {
		t.Errorf("got %v", err)
	}
	err := unfinished(&purge.Result{Servers: []purge.Server{
		{Server: "a:1", Pending: true, Error: "connection refused"}, {Server: "b:1", Incomplete: "it is a proxy"}}})
	for _, want := range []string{"a:1 could not be purged yet: connection refused; uwgate purges it as soon as it can be reached", "b:1 may still have such pages: it is a proxy"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
