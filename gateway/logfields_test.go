package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"uwgate/gateway/policy"
)

var update = flag.Bool("update", false, "write docs/log.md from the tables of log fields")

const logPage = "../docs/log.md"

// fullRecord has every field of the access log.
func fullRecord() *record {
	return &record{
		asker:  asker{"www.example.com", "192.0.2.7", "4f1f6d8b1d0a4c5e9d3c2b1a00112233", "4bf92f3577b34da6a3ce929d0e0e4736"},
		method: "GET", uri: "/news/?page=2", status: 502, bytes: 5120,
		course: course{"default", "unix:/run/app.sock", 250 * time.Microsecond, 9800 * time.Microsecond, 11500 * time.Microsecond, 12300 * time.Microsecond},
		ttl:    5 * time.Minute, reason: "s-maxage", key: "https://example.com/news/?page=2",
		flight: "leader", tags: []string{"news"},
		err: &failure{op: "dial backend", side: sideBackend, status: 502, code: codeQueueFull, err: errors.New("no room")},
	}
}

// The access log has the fields of the table, in its order and of its kinds, and no others.
func TestAccessFields(t *testing.T) {
	var logged []string
	for _, c := range fieldCalls(t, "record.go", "AddString", "AddInt64", "AddDuration", "Strings") {
		logged = append(logged, c.name)
	}
	all := zapcore.NewMapObjectEncoder()
	if err := fullRecord().MarshalLogObject(all); err != nil {
		t.Fatal(err)
	}
	for i, f := range accessFields {
		v, ok := all.Fields[f.name]
		if !ok {
			t.Errorf("no record has %q", f.name)
		}
		checkLogField(t, f)
		if got := kindOf(v); ok && got != f.kind {
			t.Errorf("%s: logged as a %s, the table says %s", f.name, got, f.kind)
		}
		if i > 0 && f.name != "error" && accessFields[i-1].name != "error" && slices.Index(logged, f.name) < slices.Index(logged, accessFields[i-1].name) {
			t.Errorf("%s is logged before %s", f.name, accessFields[i-1].name)
		}
		delete(all.Fields, f.name)
	}
	for name := range all.Fields {
		t.Errorf("%q is logged, and not in the table", name)
	}
	for _, name := range logged {
		if !slices.ContainsFunc(accessFields, func(f logField) bool { return f.name == name }) {
			t.Errorf("record.go logs %q, which is not in the table", name)
		}
	}
}

// The code logs the fields of the table, of its kinds, and no others.
func TestEventFields(t *testing.T) {
	rows := make(map[string]logField)
	for _, f := range eventFields {
		checkLogField(t, f)
		rows[f.name] = f
	}
	if len(rows) != len(eventFields) || !slices.IsSortedFunc(eventFields, func(a, b logField) int { return strings.Compare(a.name, b.name) }) {
		t.Error("the rows are not in alphabetical order, or a field has two")
	}
	seen := map[string]bool{"lines": true} // which a sink writes by itself
	for _, dir := range []string{".", "../cachewriter", "../cmd", "../uwsgi", "../nginxconf"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, c := range fieldCalls(t, path) {
				seen[c.name] = true
				if f, ok := rows[c.name]; !ok {
					if path != "record.go" || c.name != "tags" {
						t.Errorf("%s logs %q, which is not in the table", path, c.name)
					}
				} else if want := kindOfCall(c.function); want != f.kind {
					t.Errorf("%s logs %q as a %s, the table says %s", path, c.name, want, f.kind)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range rows {
		if !seen[name] {
			t.Errorf("nothing logs %q", name)
		}
	}
}

func checkLogField(t *testing.T, f logField) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(f.example), &v); err != nil {
		t.Errorf("%s: the example %s is no JSON: %v", f.name, f.example, err)
	} else if got := kindOf(v); got != f.kind {
		t.Errorf("%s: the example is a %s, the table says %s", f.name, got, f.kind)
	}
	if !strings.HasSuffix(f.meaning, ".") || strings.Contains(f.meaning, "|") {
		t.Errorf("%s: meaning %q", f.name, f.meaning)
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case []any:
		return "list of strings"
	case bool:
		return "true or false"
	}
	return "number"
}

// kindOfCall is the kind of a field that a function of package zap makes.
func kindOfCall(function string) string {
	switch function {
	case "String", "Stringer", "ByteString", "Error", "Any":
		return "string"
	case "Strings":
		return "list of strings"
	case "Bool":
		return "true or false"
	}
	return "number"
}

// A fieldCall is a call of package zap that makes a field, or of an encoder that adds one.
type fieldCall struct{ function, name string }

// fieldCalls returns the calls in a file: those of package zap, and those of the functions.
func fieldCalls(t *testing.T, path string, functions ...string) []fieldCall {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var calls []fieldCall
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		f, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, _ := f.X.(*ast.Ident)
		isZap := len(functions) == 0 && pkg != nil && pkg.Name == "zap"
		if isZap && f.Sel.Name == "Error" {
			calls = append(calls, fieldCall{"Error", "error"})
		}
		if len(call.Args) < 2 || !isZap && !slices.Contains(functions, f.Sel.Name) {
			return true
		}
		if lit, ok := call.Args[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			name, _ := strconv.Unquote(lit.Value)
			calls = append(calls, fieldCall{f.Sel.Name, name})
		}
		return true
	})
	return calls
}

// docs/log.md is made from the tables.
func TestLogPage(t *testing.T) {
	want := renderLogPage(t)
	if *update {
		if err := os.WriteFile(logPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(logPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date: run `go test ./gateway -run TestLogPage -update`", logPage)
	}
}

func renderLogPage(t *testing.T) string {
	var b strings.Builder
	b.WriteString(`# The log

<!-- Made from gateway/logfields.go by: go test ./gateway -run TestLogPage -update -->

uwgate writes one line a request (the access log) and a line for each event. ` + "`--log SINK`" + ` says where to: ` + "`stderr`, `stdout`" + `
or ` + "`file:/path`" + `, and after a space ` + "`json`" + ` or ` + "`console`" + `. The flag may be repeated. ` + "`--log-level warn`" + ` leaves out the access
log. After ` + "`kill -USR1`" + ` uwgate opens its files again, as logrotate needs it. A sink that is too slow loses lines, and a line
says how many; it never slows a request. Of equal event lines, only 100 a second and then one in 1000 are written; the
access log is always complete.

Cookies, credentials and the values of secrets are in no line.

Each line in JSON begins with these fields:

| field | kind | meaning |
|---|---|---|
| ` + "`level`" + ` | string | ` + "`debug`, `info`, `warn` or `error`" + `. |
| ` + "`time`" + ` | string | RFC 3339, with the zone of the machine. |
| ` + "`msg`" + ` | string | What happened. ` + "`request`" + ` for a request, ` + "`refresh`" + ` for a page that uwgate refreshed. Messages may change between versions; fields do not. |

## Access log

`)
	for _, e := range exampleLines(t) {
		b.WriteString(e.what + ":\n\n    " + e.line + "\n\n")
	}
	writeLogTable(&b, accessFields)
	b.WriteString(`
## Events

    {"level":"warn","time":"2026-03-01T12:00:00.5+01:00","msg":"memcached is down","server":"127.0.0.1:11211","error":"dial tcp 127.0.0.1:11211: connect: connection refused"}

An event has the fields of these that belong to it:

`)
	writeLogTable(&b, eventFields)
	return b.String()
}

// An accessExample is a line of the access log.
type accessExample struct{ what, line string }

// exampleLines are a line of each kind. The first has the examples of the table.
func exampleLines(t *testing.T) []accessExample {
	t.Helper()
	stored := fullRecord()
	stored.status, stored.tags = 200, nil
	err := stored.err
	stored.err, stored.trace = nil, ""
	passed, shared, refused, failed, refresh := *stored, *stored, *stored, *stored, *stored
	passed.ttl, passed.reason, passed.flight = 0, "identity-cookie", ""
	shared.ttl, shared.reason, shared.flight, shared.course = 0, policy.Shared, "follower", course{pool: "default", took: 8 * time.Millisecond}
	refused.ttl, refused.reason, refused.flight, refused.key, refused.course = 0, "", "", "", course{pool: "default", took: 100 * time.Microsecond}
	refused.method, refused.status, refused.bytes, refused.err = "POST", 413, 178, &failure{op: "read request body", side: sideClient, status: 413, err: errors.New("larger than --max-request-body")}
	failed.ttl, failed.reason, failed.bytes, failed.status, failed.err = 0, "", 178, 503, err
	failed.course.backend, failed.course.firstByte = "", 0
	refresh.client, refresh.id, refresh.flight = "", "", "refresh"
	return []accessExample{
		{"A page that is stored", lineOf(t, "request", stored)},
		{"A page that is not stored, because the visitor has a session", lineOf(t, "request", &passed)},
		{"A request that got the response to another one", lineOf(t, "request", &shared)},
		{"A request that uwgate refused", lineOf(t, "request", &refused)},
		{"A request that no worker took in time", lineOf(t, "request", &failed)},
		{"A page that uwgate refreshed", lineOf(t, "refresh", &refresh)},
	}
}

// lineOf is the line that r makes.
func lineOf(t *testing.T, msg string, r *record) string {
	t.Helper()
	var line bytes.Buffer
	g := &Gateway{AccessLog: jsonLog(&line)}
	g.writeAccess(msg, r, r.err)
	begin := `{"level":"info","msg":"` + msg + `",`
	rest, ok := strings.CutPrefix(strings.TrimSuffix(line.String(), "\n"), begin)
	if !ok {
		t.Fatalf("line %s", line.String())
	}
	return `{"level":"info","time":"2026-03-01T12:00:00.5+01:00","msg":"` + msg + `",` + rest
}

func writeLogTable(b *strings.Builder, fields []logField) {
	b.WriteString("| field | kind | unit | meaning | example |\n|---|---|---|---|---|\n")
	for _, f := range fields {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | `%s` |\n", f.name, f.kind, f.unit, f.meaning, f.example)
	}
}
