package policy

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"uwgate/uwsgi"
)

// testNow is the time in all tests.
var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// httpDate is testNow and some seconds, as a header says it.
func httpDate(seconds int) string {
	return testNow.Add(time.Duration(seconds) * time.Second).Format("Mon, 02 Jan 2006 15:04:05 GMT")
}

// get are the vars of a looked-up GET for /p?q=1, changed by lines "NAME=value"
// (replaced or added), "+NAME=value" (added) and "-NAME" (removed).
func get(changes ...string) uwsgi.Vars {
	v := uwsgi.Vars{
		{Name: "QUERY_STRING", Value: "q=1"},
		{Name: "REQUEST_METHOD", Value: "GET"},
		{Name: "CONTENT_TYPE", Value: ""},
		{Name: "CONTENT_LENGTH", Value: ""},
		{Name: "REQUEST_URI", Value: "/p?q=1"},
		{Name: "PATH_INFO", Value: "/p"},
		{Name: "DOCUMENT_ROOT", Value: "/srv/www"},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
		{Name: "REQUEST_SCHEME", Value: "http"},
		{Name: "REMOTE_ADDR", Value: "127.0.0.1"},
		{Name: "REMOTE_PORT", Value: "54321"},
		{Name: "SERVER_PORT", Value: "80"},
		{Name: "SERVER_NAME", Value: "www.example.com"},
		{Name: "CACHE_KEY", Value: ":1:/p?q=1"},
		{Name: "CACHE_STATUS", Value: "404"},
		{Name: "CACHE_SERVER", Value: "10.0.0.1:11211"},
		{Name: "HTTP_HOST", Value: "www.example.com"},
		{Name: "HTTP_USER_AGENT", Value: "test"},
	}
	for _, change := range changes {
		v = changed(v, change)
	}
	return asNginx(v, changes)
}

// asNginx makes what no change is about of the target fit the others, as in a packet
// of nginx's: path, query, URI and key.
func asNginx(v uwsgi.Vars, changes []string) uwsgi.Vars {
	is := func(name string) bool {
		return slices.ContainsFunc(changes, func(change string) bool {
			named, _, _ := strings.Cut(strings.TrimLeft(change, "+-"), "=")
			return named == name
		})
	}
	fit := func(name, value string) {
		if !is(name) && v.Count(name) == 1 {
			v = changed(v, name+"="+value)
		}
	}
	uri, path, query := is("REQUEST_URI"), is("PATH_INFO"), is("QUERY_STRING")
	switch {
	case uri:
		raw, args, _ := cutQuery(v.Get("REQUEST_URI"))
		fit("PATH_INFO", normalPath(raw))
		fit("QUERY_STRING", args)
	case (path || query) && v.Count("PATH_INFO") == 1 && v.Count("QUERY_STRING") == 1:
		target := url.URL{Path: v.Get("PATH_INFO"), RawQuery: v.Get("QUERY_STRING")}
		fit("REQUEST_URI", target.RequestURI())
	default:
		return v
	}
	fit("CACHE_KEY", ":1:"+v.Get("REQUEST_URI"))
	return v
}

func changed(v uwsgi.Vars, change string) uwsgi.Vars {
	if name, ok := strings.CutPrefix(change, "-"); ok {
		var kept uwsgi.Vars
		for _, x := range v {
			if x.Name != name {
				kept = append(kept, x)
			}
		}
		return kept
	}
	add, isAdd := strings.CutPrefix(change, "+")
	name, value, _ := strings.Cut(add, "=")
	for i := range v {
		if v[i].Name == name && !isAdd {
			v[i].Value = value
			return v
		}
	}
	return append(v, uwsgi.Var{Name: name, Value: value})
}

// page is a storable 200 of 5 bytes, but for a lifetime. Lines "Name: value"
// are added; "-Name" removes, "=404" sets the status, "length=N" the length,
// "chunked" and "ambiguous" the framing.
func page(lines ...string) *uwsgi.Response {
	r := &uwsgi.Response{StatusCode: 200, Reason: "OK", ContentLength: 5}
	if !strings.HasPrefix(strings.ToLower(strings.Join(lines, "\n")), "content-type:") {
		r.Header.Add("Content-Type", "text/html; charset=utf-8")
	}
	for _, line := range lines {
		change(r, line)
	}
	return r
}

func change(r *uwsgi.Response, line string) {
	name, value, isField := strings.Cut(line, ": ")
	switch {
	case strings.HasPrefix(line, "-"):
		r.Header.Del(line[1:])
	case strings.HasPrefix(line, "="):
		r.StatusCode = int(line[1]-'0')*100 + int(line[2]-'0')*10 + int(line[3]-'0')
	case line == "unframed":
		r.ContentLength = -1
	case line == "chunked":
		r.ContentLength, r.Chunked = -1, true
	case line == "ambiguous":
		r.ContentLength, r.Chunked, r.Ambiguous = -1, true, true
	case line == "empty":
		r.ContentLength = 0
	case line == "large":
		r.ContentLength = 1 << 20
	case isField:
		r.Header.Add(name, value)
	default:
		panic("no such change: " + line)
	}
}

func testPolicy() *Policy {
	return &Policy{
		Keys: Keys{
			Servers:      func(addr string) bool { return addr == "10.0.0.1:11211" || addr == "unix:/m.sock" },
			AllowedHosts: []string{"www.example.com"}, // most keys of these tests belong to one site
		},
		Lifetimes: Lifetimes{Default: 10 * time.Minute},
		Exclude:   []string{"/admin"},
	}
}
