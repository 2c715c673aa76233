package gateway

import (
	"strings"
	"testing"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// What purges must know of a page is stored beside it, unless its key tells it.
func TestSubjectsAreStored(t *testing.T) {
	for _, tt := range []struct {
		name, template, lines, key string
		want                       []string // in the record; nil: there is none
	}{
		{"the key tells", "$host$request_uri", "", "example.com/p?q", nil},
		{"tags", "$host$request_uri", "Surrogate-Key: a ab\r\n", "example.com/p?q", []string{"example.com", "/p?q", "a,", "ab,"}},
		{"a tag of a rule", "$host$request_uri", "", "example.com/tagged", []string{"example.com", "/tagged", "ruled,"}},
		{"another key", "$host$request_uri", "", "k:/p?q", []string{"example.com", "/p?q"}},
	} {
		b := newBench(t, func(g *Gateway) {
			template, err := policy.ParseTemplate(tt.template)
			if err != nil {
				t.Fatal(err)
			}
			g.Policy.Keys.Template = template
			g.Policy.Rules = policy.NewRules([]policy.Rule{{PathPrefix: "/tagged", Tags: []string{"ruled"}}})
			g.Store.Subject = g.SubjectOf
		}, says("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n"+tt.lines+"\r\nhello"))
		uri := tt.key[strings.IndexByte(tt.key, '/'):]
		b.ask(missed(uri, uwsgi.Var{Name: "CACHE_KEY", Value: tt.key}), nil)
		if got := b.contents(); len(got) != 1 || got[tt.key].body != "hello" {
			t.Errorf("%s: memcached has %v", tt.name, got)
		}
		if len(b.store.records) != min(1, len(tt.want)) {
			t.Errorf("%s: records %v", tt.name, b.store.records)
		}
		for _, record := range b.store.records {
			for _, part := range tt.want {
				if !strings.Contains(record.body, part) {
					t.Errorf("%s: the record %q lacks %q", tt.name, record.body, part)
				}
			}
		}
	}
}
