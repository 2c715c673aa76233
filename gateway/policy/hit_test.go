package policy

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"time"

	"uwgate/uwsgi"
)

func TestHit(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte("hello"))
	z.Close()
	adds := []uwsgi.Field{{Name: "X-Frame-Options", Value: "DENY"}}
	http := &Policy{Hits: Hits{Format: FormatHTTP}}
	head := string(http.StoredHead(page("Content-Type: text/plain", "ETag: e", "Content-Length: 5"), time.Now()))
	for _, tt := range []struct {
		name   string
		policy *Policy
		path   string
		value  string
		flags  uint32
		body   string // empty: refused
		lines  []string
	}{
		{"body", &Policy{Hits: Hits{Adds: adds}}, "/", "hello", 0, "hello", []string{"Content-Type: text/html; charset=utf-8", "Content-Length: 5", "X-Frame-Options: DENY"}},
		{"type by path", &Policy{}, "/a.css", "hello", 0, "hello", []string{"Content-Type: text/css"}},
		{"gzip", &Policy{Hits: Hits{Format: FormatGzip, GzipFlag: 2}}, "/", zipped.String(), 2, "hello", []string{"Content-Length: 5"}},
		{"gzip that would not shrink", &Policy{Hits: Hits{Format: FormatGzip, GzipFlag: 2}}, "/", "hello", 0, "hello", nil},
		{"broken gzip", &Policy{Hits: Hits{Format: FormatGzip, GzipFlag: 2}}, "/", zipped.String()[:12], 2, "", nil},
		{"gzip over the limit", &Policy{Hits: Hits{Format: FormatGzip, GzipFlag: 2}, MaxBody: 4}, "/", zipped.String(), 2, "", nil},
		{"http", http, "/", head + "hello", 0, "hello", []string{"Content-Type: text/plain", "ETag: e"}},
		{"http without a head", http, "/", "hello", 0, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := uwsgi.Vars{{Name: "REQUEST_URI", Value: tt.path}, {Name: "PATH_INFO", Value: tt.path}}
			resp, body, err := tt.policy.Hit(v, []byte(tt.value), tt.flags)
			if tt.body == "" {
				if err == nil {
					t.Errorf("got %q, want an error", body)
				}
				return
			}
			if err != nil || string(body) != tt.body || resp.StatusCode != 200 || resp.ContentLength != int64(len(tt.body)) {
				t.Fatalf("got %+v, %q, %v", resp, body, err)
			}
			got := string(resp.AppendHead(nil))
			for _, line := range tt.lines {
				if !strings.Contains(got, "\r\n"+line+"\r\n") {
					t.Errorf("%q lacks %s", got, line)
				}
			}
		})
	}
}
