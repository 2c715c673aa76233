package policy

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func TestLost(t *testing.T) {
	django := []string{
		"Content-Type: text/html; charset=utf-8", "X-Frame-Options: DENY", "Vary: Accept-Encoding", "Content-Length: 5",
		"X-Content-Type-Options: nosniff", "Referrer-Policy: same-origin", "Cross-Origin-Opener-Policy: same-origin",
	}
	tests := []struct {
		name  string
		lines []string
		adds  []string
		want  []string
	}{
		{"a stock head", []string{"Content-Type: text/html", "Content-Length: 5", "Server: x", "Date: x", "ETag: x", "Last-Modified: x", "Cache-Control: public", "Vary: Accept-Encoding", "Connection: close", "Link: </a>; rel=canonical"}, nil, nil},
		{"unknown headers", []string{"X-Anything: 1", "Foo: bar"}, nil, nil},
		{"a stock Django head", django, nil, []string{django[1], django[4], django[5], django[6]}},
		{"a stock Django head, all declared", django, []string{"x-frame-options: DENY", "X-Content-Type-Options: nosniff", "Referrer-Policy: same-origin", "Cross-Origin-Opener-Policy: same-origin"}, nil},
		{"declared with another value", django[1:2], []string{"X-Frame-Options: SAMEORIGIN"}, django[1:2]},
		{"declared under another name", django[1:2], []string{"X-Frame: DENY"}, django[1:2]},
		{"one of two lines declared", []string{"permissions-policy: a", "Permissions-Policy: b"}, []string{"Permissions-Policy: a"}, []string{"Permissions-Policy: b"}},
		{"declared more than once", []string{"Report-To: a", "Report-To: b"}, []string{"Report-To: b", "Report-To: a"}, nil},
		{"what refuses is not only lost", []string{"Content-Language: de", "Content-Security-Policy: 'nonce-x'", "Refresh: 5"}, nil, nil},
		{"no name behind a prefix", []string{"Cross-Origin-: x"}, nil, nil},
	}
	for _, tt := range tests {
		p := &Policy{Hits: Hits{Adds: fields(tt.adds)}}
		got := p.Lost(fields(tt.lines))
		if !slices.Equal(got, fields(tt.want)) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if len(tt.want) == 0 && got != nil {
			t.Errorf("%s: got an empty list, want nil", tt.name)
		}
		p.Hits.Strict = true
		if name, refused := p.Hits.refusedHeader(got); refused != (len(got) > 0) || refused && name != got[0].Name {
			t.Errorf("%s, strict: refused for %q", tt.name, name)
		}
	}
}

// Each rule can be reached, by its name as written and in lower case.
func TestHeaderRules(t *testing.T) {
	values := []string{"x", "'nonce-x'", "</x>; rel=next", "</x>; rel=preload"}
	for i := range headerRules {
		rule := &headerRules[i]
		name := strings.ReplaceAll(rule.name, "*", "Anything")
		reached := slices.ContainsFunc(values, func(value string) bool {
			return headerRuleOf(uwsgi.Field{Name: name, Value: value}) == rule &&
				headerRuleOf(uwsgi.Field{Name: strings.ToLower(name), Value: value}) == rule
		})
		if !reached {
			t.Errorf("%s (%s) is hidden by a rule above it", rule.name, rule.class)
		}
		if (rule.only == nil) != (rule.having == "") {
			t.Errorf("%s: only and having do not go together", rule.name)
		}
		if rule.constant != (rule.class == warn) && rule.class != refuse {
			t.Errorf("%s: constant = %v in class %s", rule.name, rule.constant, rule.class)
		}
	}
	if got := headerRuleOf(uwsgi.Field{Name: "Foo"}); got != &unknown {
		t.Errorf("Foo falls under %q", got.name)
	}
}

// The table and the page that shows it to operators are the same.
func TestHeaderRulesAreDocumented(t *testing.T) {
	const path = "../../docs/headers.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile("(?m)^\\| (?:`|any other).*$").FindAllString(string(page), -1)
	want := documentedRules()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("%s lacks the row\n%s", path, want[i])
		case i >= len(want):
			t.Errorf("%s has a row too many:\n%s", path, got[i])
		case got[i] != want[i]:
			t.Errorf("%s: got\n%s\nwant\n%s", path, got[i], want[i])
		}
	}
}

func documentedRules() (rows []string) {
	for _, r := range append(slices.Clone(headerRules), unknown) {
		name := "`" + r.name + "`"
		if r.name == unknown.name {
			name = "any other"
		}
		if r.having != "" {
			name += " " + r.having
		}
		declared := ""
		switch {
		case r.constant:
			declared = "yes"
		case r.class == refuse:
			declared = "no"
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %s |", name, r.class, declared, cmp.Or(r.inHTTP, "keep"), r.why))
	}
	return rows
}
