package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func packet(t testing.TB, v uwsgi.Vars) string {
	t.Helper()
	var b bytes.Buffer
	if err := (&uwsgi.Request{Vars: v}).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestParseRequest(t *testing.T) {
	vars := uwsgi.Vars{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "HTTP_COOKIE", Value: "a=b; c=\xff"}, {Name: "CONTENT_LENGTH"}}
	for _, tt := range []struct {
		name, text string
		want       savedRequest
	}{
		{"packet", packet(t, vars), savedRequest{vars: vars}},
		{"packet and body", packet(t, vars) + "a=b", savedRequest{vars: vars, body: true}},
		{"packet without vars", packet(t, nil), savedRequest{vars: uwsgi.Vars{}}},
		{"lines", "REQUEST_METHOD=GET\nHTTP_COOKIE=a=b; c=\xff\n\nCONTENT_LENGTH=\n", savedRequest{vars: vars}},
		{"lines of Windows", "\r\nREQUEST_METHOD=GET\r\nHTTP_COOKIE=a=b; c=\xff\r\nCONTENT_LENGTH=\r\n", savedRequest{vars: vars}},
		{"a value like a request line", "X=GET / HTTP/1.1", savedRequest{vars: uwsgi.Vars{{Name: "X", Value: "GET / HTTP/1.1"}}}},
		{"JSON", ` [["REQUEST_METHOD", "GET"], ["X", "ä"]]`, savedRequest{vars: uwsgi.Vars{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "X", Value: "ä"}}}},
		{"what --json printed", `{"vars":[["X","y"]],"dropped":[]}`, savedRequest{vars: uwsgi.Vars{{Name: "X", Value: "y"}}}},
		{"HTTP", "GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-Tenant:  t \r\n\r\n",
			savedRequest{method: "GET", url: "/a?b=c", headers: uwsgi.Vars{{Name: "HTTP_HOST", Value: "h"}, {Name: "HTTP_X_TENANT", Value: "t"}}}},
		{"HTTP with a body", "POST / HTTP/1.0\nHost: h\n\na=b", savedRequest{method: "POST", url: "/", headers: uwsgi.Vars{{Name: "HTTP_HOST", Value: "h"}}, body: true}},
		{"HTTP without an end", "GET / HTTP/1.1\nHost: h", savedRequest{method: "GET", url: "/", headers: uwsgi.Vars{{Name: "HTTP_HOST", Value: "h"}}}},
		{"an argument like a var", "GET /?A=B HTTP/2", savedRequest{method: "GET", url: "/?A=B"}},
		{"an absolute target has its own host", "GET http://a/ HTTP/1.1\nHost: b\nX: y\n\n", savedRequest{method: "GET", url: "http://a/", headers: uwsgi.Vars{{Name: "HTTP_X", Value: "y"}}}},
		{"curl -v", "* Connected to h\n> GET /a HTTP/1.1\r\n> Host: h\r\n> \r\n< HTTP/1.1 200 OK\n<\n{ [5 bytes data]\n",
			savedRequest{method: "GET", url: "/a", headers: uwsgi.Vars{{Name: "HTTP_HOST", Value: "h"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseRequest([]byte(tt.text))
			if err != nil || !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseRequestNamesTheLine(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		line       int // 0: the error is about the whole file
		want       string
	}{
		{"empty", "", 0, "is empty"},
		{"blank", " \v\u2003\r\n", 0, "is empty"},
		{"cut packet", packet(t, uwsgi.Vars{{Name: "A", Value: "b"}})[:7], 0, "should be a uwsgi packet, but: uwsgi: "},
		{"ping", uwsgi.Ping, 0, "is a uwsgi ping"},
		{"something else", "\n<html>\n", 2, `"<html>" is neither a request line`},
		{"HTTP/0.9", "GET /\n", 1, `"GET /" is neither a request line`},
		{"space in the target", "GET /a b HTTP/1.1\n", 1, "neither a request line"},
		{"no header", "GET / HTTP/1.1\nHost h\n", 2, `"Host h" is not of the form Name: value`},
		{"folded header", "GET / HTTP/1.1\nA: b\n c: d\n", 3, `not of the form Name: value`},
		{"no var", "A=b\n\nnonsense\n", 3, `"nonsense" is not of the form NAME=value`},
		{"only what curl got", "* Connected\n< HTTP/1.1 200 OK\n", 1, "no line begins with `> `"},
		{"JSON that breaks off", "[\n[\"A\",\n", 3, `unexpected end of JSON input; write [["NAME", "value"], …]`},
		{"JSON of something else", `{"a": 1}`, 1, "this JSON is no list of vars"},
		{"JSON with a number", `[["A", 1]]`, 1, "this JSON is no list of vars"},
		{"a JSON pair of three", `[["A", "b"], ["A", "b", "c"]]`, 0, "var 2 of the list"},
		{"a var without name", `[["", "b"]]`, 0, "var 1 of the list"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseRequest([]byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %+v, %v; want %s", got, err, tt.want)
			}
			var at *lineError
			if errors.As(err, &at); (at == nil) != (tt.line == 0) || at != nil && at.line != tt.line {
				t.Errorf("got line %+v, want %d", at, tt.line)
			}
		})
	}
}

// What is read reads the same when it is written in the form of JSON, and as a
// packet if it fits one.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(packet(f, uwsgi.Vars{{Name: "REQUEST_METHOD", Value: "GET"}})))
	f.Add([]byte("GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\nbody"))
	f.Add([]byte("> GET http://h/ HTTP/1.1\n> Host: x\n>\n"))
	f.Add([]byte("A=b\nC=\n"))
	f.Add([]byte(`{"vars": [["A", "b"]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRequest(data)
		if err != nil {
			var at *lineError
			if errors.As(err, &at) && (at.line < 1 || at.line > 1+bytes.Count(data, []byte("\n"))) {
				t.Fatalf("%v is no line of the file", at)
			}
			return
		}
		if (r.vars == nil) == (r.method == "") {
			t.Fatalf("%+v is neither vars nor a request, or both", r)
		}
		if r.vars == nil {
			requestVars(r.method, r.url, r.headers) // must not panic
			return
		}
		if text, err := adminRequest(r.vars); err == nil {
			again, err := parseRequest(text)
			if err != nil || !reflect.DeepEqual(again.vars, r.vars) {
				t.Fatalf("%q becomes %+v, %v", r.vars, again, err)
			}
		}
		if whole, err := (&uwsgi.Request{Vars: r.vars}).Append(nil); err == nil && len(r.vars) <= 1000 {
			again, err := parseRequest(whole)
			if err != nil || !reflect.DeepEqual(again.vars, r.vars) {
				t.Fatalf("%q becomes %+v, %v", r.vars, again, err)
			}
		}
	})
}

func TestAdminRequestRefusesWhatJSONCannotHold(t *testing.T) {
	if b, err := adminRequest(uwsgi.Vars{{Name: "REQUEST_URI", Value: "/caf\xe9"}}); err == nil {
		t.Errorf("got %s, want an error", b)
	}
	b, err := adminRequest(uwsgi.Vars{{Name: "A", Value: "é<>"}})
	var got struct{ Vars [][2]string }
	if json.Unmarshal(b, &got) != nil || err != nil || len(got.Vars) != 1 || got.Vars[0] != [2]string{"A", "é<>"} {
		t.Errorf("got %s, %v", b, err)
	}
}
