package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

func TestHotList(t *testing.T) {
	now := time.Unix(1e9, 0)
	var all []cachewriter.Found
	for i := range 1000 {
		all = append(all, cachewriter.Found{Key: fmt.Sprintf("k%03d", i), Fetched: i%10 == 0, Accessed: now.Add(-time.Duration(i) * time.Second)})
	}
	all = append(all, cachewriter.Found{Key: "unknown", Fetched: true, Accessed: now.Add(time.Hour)}, all[0], all[10])
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	h := &hotList{most: 102, urls: map[string]bool{}}
	for _, f := range all {
		h.add(f, func(f *cachewriter.Found) (string, uwsgi.Vars) { return strings.TrimPrefix(f.Key, "unknown"), nil })
	}
	slices.SortFunc(h.pages, func(a, b storedPage) int { return compareHeat(&a.Found, &b.Found) })
	// The hundred that were read, and the two hottest of the others.
	var got []string
	for _, p := range h.pages {
		got = append(got, p.url)
	}
	if len(got) != 102 || got[0] != "k000" || got[1] != "k010" || got[99] != "k990" || got[100] != "k001" || got[101] != "k002" || h.unknown != 1 || len(h.urls) != 102 {
		t.Errorf("got %d pages: %q, and %d that are unknown", len(got), got, h.unknown)
	}
}

// The request for a stored page has its key, or there is none.
func TestRequestOfStoredPage(t *testing.T) {
	reader := func(key, site string, headers ...uwsgi.Var) *storeReader {
		template, err := policy.ParseTemplate(key)
		if err != nil {
			t.Fatal(err)
		}
		s := &settings.Settings{}
		s.Command.Warm.Site = site
		return &storeReader{s: s, policy: &policy.Policy{Keys: policy.Keys{Template: template}}, headers: headers}
	}
	const usual = "$visitor$scheme://$host$request_uri"
	german := uwsgi.Var{Name: "HTTP_ACCEPT_LANGUAGE", Value: "de"}
	for _, tt := range []struct {
		name     string
		r        *storeReader
		key, url string
	}{
		{"https", reader(usual, ""), "https://h/a?b", "https://h/a?b"},
		{"http", reader(usual, ""), "http://h/a?b", "http://h/a?b"},
		{"bearers of unknown cookies", reader(usual, ""), "+https://h/a?b", ""},
		{"another template", reader(usual, ""), ":1:CUSTOMKEY:/a?b", ""},
		{"no scheme", reader(":1:CUSTOMKEY:$request_uri", ""), ":1:CUSTOMKEY:/a?b", "https://h/a?b"},
		{"no scheme, but a site", reader(":1:CUSTOMKEY:$request_uri", "http://h:8080"), ":1:CUSTOMKEY:/a?b", "http://h:8080/a?b"},
		{"another site", reader(":1:CUSTOMKEY:$request_uri", "http://other:8080"), ":1:CUSTOMKEY:/a?b", "https://h/a?b"},
		{"a port", reader("$scheme://$host:$server_port$request_uri", "http://h:8080"), "http://h:8080/a?b", "http://h:8080/a?b"},
		{"a header", reader("$http_accept_language$request_uri", "", german), "de/a?b", "https://h/a?b"},
		{"another language", reader("$http_accept_language$request_uri", "", german), "fr/a?b", ""},
	} {
		url, vars := tt.r.request(&cachewriter.Found{Key: tt.key, Subject: cachewriter.Subject{Host: "h", URI: "/a?b"}})
		if url != tt.url || (url == "") != (vars == nil) || url != "" && vars.Get("REMOTE_ADDR") != anonymousAddr {
			t.Errorf("%s: got %q, %v, want %q", tt.name, url, vars, tt.url)
		}
	}
	if url, _ := reader(usual, "").request(&cachewriter.Found{Key: "https://h/"}); url != "" {
		t.Errorf("of an unknown page: got %q", url)
	}
}
