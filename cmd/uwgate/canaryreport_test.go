package main

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"uwgate/cachewriter"
)

var tokens = regexp.MustCompile(canaryName + "[0-9a-f]{16}")

// fixed is text with the names of things that differ from run to run replaced by
// others that are as long: who writes, who is asked, and where nginx listens.
func (s *fakeSite) fixed(r *liveReport, text string) string {
	oldnew := []string{strings.TrimPrefix(s.server.URL, "http://"), "127.0.0.1:18080"}
	if len(r.Servers) > 0 {
		oldnew = append(oldnew, r.Servers[0], "127.0.0.1:11211")
	}
	if len(r.Asked) > 0 {
		oldnew = append(oldnew, r.Asked[0].Server, "127.0.0.1:11212")
	}
	return tokens.ReplaceAllString(strings.NewReplacer(oldnew...).Replace(text), canaryName+"0123456789abcdef")
}

// What people and scripts read.
func TestLiveReport(t *testing.T) {
	for _, tt := range []struct {
		file   string
		caches int
		args   []string
		set    func(*fakeSite)
	}{
		{"hit.txt", 1, nil, func(*fakeSite) {}},
		{"key.txt", 1, nil, func(s *fakeSite) { s.key = prefixed(":1:CUSTOMKEY:") }},
		{"key.json", 1, []string{"--json"}, func(s *fakeSite) { s.key = prefixed(":1:CUSTOMKEY:") }},
		{"server.txt", 2, nil, func(s *fakeSite) { s.method = cachewriter.Modulo }},
		{"format.txt", 1, []string{"--format", "gzip", "--gzip-flag", "4"}, func(*fakeSite) {}},
		{"reach.txt", 1, nil, notLookedUp(answerItself(502))},
		{"lookup.txt", 1, nil, notLookedUp(answerAs(404))},
		{"redirect.txt", 1, nil, notLookedUp(answerTo("https://www.example.com/x"))},
		{"gateway.txt", 1, nil, func(s *fakeSite) { s.missed = answerItself(502) }},
		{"miss.txt", 1, nil, func(s *fakeSite) { s.key = prefixed("x"); s.caches[0].says("watch", "ERROR\r\n") }},
		{"left.txt", 1, []string{"--key", "$uri "}, func(s *fakeSite) {
			s.key = func(r *http.Request) string { return r.RequestURI + " " }
			s.found = changed
			s.refusesOneDelete()
		}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			s := startSite(t, tt.caches)
			tt.set(s)
			r, err := s.check(t.Context(), nil, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			if strings.HasSuffix(tt.file, ".json") {
				err = writeJSON(&got, r)
			} else {
				err = r.write(&got)
			}
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "check-via", tt.file)
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(path, []byte(s.fixed(r, got.String())), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.fixed(r, got.String()); got != string(want) {
				t.Errorf("%s (UPDATE=1 accepts): got\n%s\nwant\n%s", path, got, want)
			}
		})
	}
}

// refusesOneDelete has one entry stay.
func (s *fakeSite) refusesOneDelete() {
	deletes := 0
	s.caches[0].say = func(command string) string {
		if !strings.HasPrefix(command, "delete ") {
			return ""
		}
		if deletes++; deletes > 1 {
			return ""
		}
		return "SERVER_ERROR busy\r\n"
	}
}

// The page shows what the program prints.
func TestCheckViaPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/check-via.md")
	if err != nil {
		t.Fatal(err)
	}
	shown, err := os.ReadFile("testdata/check-via/key.txt")
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(shown)) {
		if strings.TrimSpace(l) != "" && !strings.Contains(string(page), "    "+l) {
			t.Errorf("docs/check-via.md lacks the line %s", l)
		}
	}
	for o, headline := range headlines {
		if row := "| `" + string(o) + "` | " + headline + " | "; !strings.Contains(string(page), row) {
			t.Errorf("docs/check-via.md lacks the row %s", row)
		}
	}
	for _, name := range jsonNames(liveReport{}) {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/check-via.md does not explain %s", name)
		}
	}
}

// jsonNames are those of a struct's fields.
func jsonNames(v any) (names []string) {
	for f := range reflect.TypeOf(v).Fields() {
		names = append(names, f.Tag.Get("json"))
	}
	return names
}
