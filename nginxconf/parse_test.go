package nginxconf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/nginxconf/nginxtest"
)

func TestWords(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // words, with what ends them as a word of its own
	}{
		{"plain", "a b\tc\r\n d;", []string{"a", "b", "c", "d", ";"}},
		{"one after the other", "a;b{c d;}", []string{"a", ";", "b", "{", "c", "d", ";", "}"}},
		{"comments", "# x {\na #b\n c#d; # y", []string{"a", "c#d", ";"}},
		{"quotes", `a "b c" 'd;{}#' "" 'e"f' "g'h";`, []string{"a", "b c", "d;{}#", "", `e"f`, "g'h", ";"}},
		{"a quote within a word", `a"b c'd;`, []string{`a"b`, "c'd", ";"}},
		{"escapes", `a \"b\ c "\"\\\t\n\r\d\'" \;;`, []string{"a", `"b\ c`, "\"\\\t\n\r\\d'", `\;`, ";"}},
		{"a variable in braces", `a ${b}c ${d}{`, []string{"a", "${b}c", "${d}", "{"}},
		{"two braces", "a ${{b};", []string{"a", "${{b}", ";"}},
		{"braces without a dollar", "a b{", []string{"a", "b", "{"}},
		{"a dollar before a block", "a $b{ c $ {", []string{"a", "$b", "{", "c", "$", "{"}},
		{"a dollar in quotes before a block", `if "$a"{`, []string{"if", "$a", "{"}},
		{"a brace that closes nothing", "a b} c;", []string{"a", "b}", "c", ";"}},
		{"a bracket after a quote", `if ($a = "b") {`, []string{"if", "($a", "=", "b", ")", "{"}},
		{"a regex", `location ~ ^/(\d{1,2})$ {`, []string{"location", "~", `^/(\d`, "{", "1,2})$", "{"}}, // which nginx refuses for its pattern
		{"a quoted regex", `location ~ "^/(\d{1,2})$" {`, []string{"location", "~", `^/(\d{1,2})$`, "{"}},
		{"beyond ASCII", "a ä\xff;", []string{"a", "ä\xff", ";"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for l := newLexer("x.conf", tt.text); ; {
				s, err := l.next()
				if err != nil || s.end == 0 {
					break
				}
				got = append(append(got, s.words...), string(s.end))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Lua has its own strings, comments and braces.
func TestLuaIsSkipped(t *testing.T) {
	tests := []struct{ name, lua string }{
		{"nothing", ``},
		{"braces", `local t = {a = {1, 2}, b = {}}`},
		{"strings", `x = "}" y = '}' z = "\"}" w = '\\' v = "\\\"}"`},
		{"string to the line's end", "x = \"}\nlocal y"},
		{"long strings", `x = [[ } ]] y = [==[ } ]] ]=] } ]==] z = a[b[1]]`},
		{"comments", "-- }\n x = 1 --[[ }\n} ]] y = 2 --[==[ } ]==] --[ }\n"},
		{"what is not nginx's", "x = #t; -- it's\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ds, err := new(parser).text("x.conf", "a_by_lua_block $x {"+tt.lua+"}\nb;\n")
			if err != nil || len(ds) != 2 || ds[1].name != "b" || ds[1].Line != 2+strings.Count(tt.lua, "\n") {
				t.Errorf("got %v, %v", ds, err)
			}
		})
	}
	_, err := new(parser).text("x.conf", "a;\nb_by_lua_block {\n{ }\n")
	if want := "x.conf:2: the Lua block that opens here is never closed"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// broken are texts for a location, or whole configurations, with which nginx does not
// start.
var broken = []struct {
	name, text, want string
	line             int // of the text
}{
	{"no semicolon", "set $a 1\n}", "has no `;` at its end", 2},
	{"no semicolon before a block", "set $a 1\nif ($a) { break; }", "`set $a 1 if ($a)` has a block, and cannot have one", 1},
	{"no semicolon at the end", "}}}\nx y #", "`x y` has no `;` at its end", 2},
	{"lone semicolon", "\n;", `unexpected ";"`, 2},
	{"lone brace", "\n{ }", `unexpected "{"`, 2},
	{"brace too many", "}\n}\n}}", `unexpected "}"`, 3},
	{"brace missing", "if ($uri) {", "the file ends before the `}` of `http`, which line 1 opens", 2},
	{"open quote", "set $a \"1;", "the quote that opens here is never closed", 1},
	{"text behind a quote", "set $a \"1\"2;", `unexpected "2" after a closing quote`, 1},
	{"include of nothing", "include;", "include takes one file name", 1},
	{"include of two", "include a b;", "include takes one file name", 1},
	{"include with a block", "include a { }", "include takes one file name", 1},
	{"set without value", "set $a;", "has 1 arguments", 1},
	{"set of no variable", "set a b;", `"a" is no variable`, 1},
	{"set to a lone dollar", "set $a b$;", "no variable's name follows the dollar sign", 1},
	{"set to an open brace", "set $a ${b;", "no variable's name follows the dollar sign", 1},
	{"block without a block", "location /;", "`location /` has no block", 1},
	{"pass with a block", "memcached_pass a { }", "has a block, and cannot have one", 1},
	{"location with a wrong modifier", "location ! /a { }", `"!" is none of = ^~ ~* ~`, 1},
	{"error_page without target", "error_page 404;", "has 1 arguments", 1},
	{"error_page of no code", "error_page a /a;", `"a" is no status from 300 to 599`, 1},
	{"error_page of 200", "error_page 200 /a;", `"200" is no status from 300 to 599`, 1},
	{"error_page without code", "error_page =200 /a;", "= stands behind the codes", 1},
	{"error_page with a wrong status", "error_page 404 =a /a;", "= stands behind the codes", 1},
	{"timeout that is none", "set $memcached_key a; memcached_pass 127.0.0.1:1;\nmemcached_read_timeout 1x;", "it takes one time", 2},
	{"gzip flag that is none", "set $memcached_key a; memcached_pass 127.0.0.1:1;\nmemcached_gzip_flag on;", "it takes a number", 2},
	{"uwsgi_param without value", "uwsgi_param a;", "has 1 arguments", 1},
}

func TestBrokenConfigurations(t *testing.T) {
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("nginx.conf", brokenText(tt.text))
			var at *SyntaxError
			if !errors.As(err, &at) || !strings.Contains(at.What, tt.want) || at.Line != tt.line {
				t.Errorf("got %v; want line %d: %s", err, tt.line, tt.want)
			}
		})
	}
}

func brokenText(text string) string {
	return "events {} http { server { listen 127.0.0.1:18080; location / {" + text + "}}}\n"
}

func TestNginxRefusesBrokenConfigurations(t *testing.T) {
	program := nginxtest.Program(t)
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := nginxtest.Frame(t, "", "")
			if err := nginxtest.WriteFile(dir, "nginx.conf", "pid nginx.pid; "+brokenText(tt.text)); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(program, append(nginxtest.Arguments(dir), "-t")...).CombinedOutput(); err == nil {
				t.Errorf("nginx starts with it: %s", out)
			}
		})
	}
}

// A file that cannot be read is a gap, and the rest is read.
func TestIncludeGaps(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"nginx.conf": "include missing.conf;\ninclude folder;\ninclude *.link;\ninclude none*.conf;\ninclude no/folder/*.conf;\ninclude fine.conf;\nhttp { }\n",
		"fine.conf":  "a b;\n",
		"folder/x":   "",
	} {
		if err := nginxtest.WriteFile(dir, name, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "a.link")); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "nginx.conf")
	c, err := Read(main, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []Gap{
		{Place{main, 1, 1}, "include missing.conf: " + dir + "/missing.conf: no such file or directory", false},
		{Place{main, 2, 1}, "include folder: " + dir + "/folder: not a file", false},
		{Place{main, 3, 1}, "include *.link: " + dir + "/a.link: no such file or directory", false},
	}
	if !slices.Equal(c.Gaps, want) {
		t.Errorf("got  %v\nwant %v", c.Gaps, want)
	}
	if want := []string{main, dir + "/fine.conf"}; !slices.Equal(c.Files, want) {
		t.Errorf("files: got %q, want %q", c.Files, want)
	}
}

// The reader may have fewer rights than nginx.
func TestUnreadableIncludes(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"nginx.conf": "include closed/*.conf;\ninclude closed/a.conf;\nhttp {}", "closed/a.conf": ""} {
		if err := nginxtest.WriteFile(dir, name, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "closed"), 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Join(dir, "closed"), 0o755)
	c, err := Read(filepath.Join(dir, "nginx.conf"), "")
	if err != nil || len(c.Gaps) != 2 || !strings.HasSuffix(c.Gaps[0].Text, "permission denied") || !strings.HasSuffix(c.Gaps[1].Text, "permission denied") {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestReadErrors(t *testing.T) {
	many := make([]string, maxFiles+1)
	for i := range many {
		many[i] = "include empty.conf;"
	}
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no main file", nil, "nginx.conf: no such file or directory"},
		{"mistake in an include", map[string]string{"nginx.conf": "http {\ninclude a.conf;\n}", "a.conf": "\nx y"}, "a.conf:2: `x y` has no `;` at its end"},
		{"block that an include leaves open", map[string]string{"nginx.conf": "http {\ninclude a.conf;\n}}", "a.conf": "server {"}, "a.conf:1: the file ends before the `}` of `server`"},
		{"block that an include closes", map[string]string{"nginx.conf": "http {\ninclude a.conf;\n", "a.conf": "}"}, "a.conf:1: unexpected \"}\": no block is open here"},
		{"main file includes itself", map[string]string{"nginx.conf": "http {}\ninclude nginx.conf;"}, "nginx.conf:2: DIR/nginx.conf includes itself: DIR/nginx.conf includes DIR/nginx.conf"},
		{"circle", map[string]string{"nginx.conf": "http { include a.conf; }", "a.conf": "include ./b*;", "b.conf": "\ninclude a.conf;"}, "b.conf:2: DIR/a.conf includes itself: DIR/nginx.conf includes DIR/a.conf includes DIR/b.conf includes DIR/a.conf"},
		{"too deep", map[string]string{"nginx.conf": strings.Repeat("a {\n", maxDepth+1) + strings.Repeat("}", maxDepth+1)}, fmt.Sprintf("nginx.conf:%d: more than %d blocks", maxDepth+1, maxDepth)},
		{"too many files", map[string]string{"nginx.conf": strings.Join(many, "\n"), "empty.conf": ""}, fmt.Sprintf("nginx.conf:%d: the configuration has more than", maxFiles)},
		{"site alone", map[string]string{"nginx.conf": "server { }"}, "no `http { … }` in here; name nginx's main configuration file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				if err := nginxtest.WriteFile(dir, name, text); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Read(filepath.Join(dir, "nginx.conf"), "")
			if want := strings.ReplaceAll(tt.want, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// A prefix is the folder of relative includes, as in the copy of a configuration.
func TestReadWithPrefix(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a/nginx.conf": "include x.conf; http {}", "b/x.conf": ""} {
		if err := nginxtest.WriteFile(dir, name, text); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Read(filepath.Join(dir, "a", "nginx.conf"), filepath.Join(dir, "b"))
	if err != nil || len(c.Gaps) > 0 || !slices.Contains(c.Files, filepath.Join(dir, "b", "x.conf")) {
		t.Errorf("got %v, %v", c, err)
	}
}

// Reading any text ends with a model, or with a mistake at a line of the text.
func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"testdata/read/*.conf", "snippet/testdata/*.conf", "testdata/read/*/*"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil {
				f.Add("http {" + string(text) + "}")
			}
		}
	}
	for _, tt := range keyTests {
		f.Add("http {" + strings.ReplaceAll(keySite(tt.name, tt.server), asks, "memcached_pass a:1;") + "}")
	}
	for _, tt := range broken {
		f.Add(brokenText(tt.text))
	}
	f.Add("http { a_by_lua_block { x = [[}]] -- }\n} }")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("nginx.conf", text)
		var at *SyntaxError
		switch lines := 1 + strings.Count(text, "\n"); {
		case errors.As(err, &at) && (at.Line < 1 || at.Line > lines || at.File != "nginx.conf"):
			t.Fatalf("a mistake in %d lines at %v", lines, at)
		case err == nil:
			dump(c)
		}
	})
}
