package nginxconf

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// typesOf reads the text of a types file. It includes nothing.
func typesOf(text string) (map[string]string, error) {
	ds, err := new(parser).text("mime.types", text)
	if err != nil {
		return nil, err
	}
	return onlyTypes(Place{"mime.types", 1, 1}, ds)
}

func TestParseTypes(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       map[string]string
	}{
		{"as nginx ships it", "\ntypes {\n    text/html  html htm shtml;\n    text/css\tcss;\n}\n",
			map[string]string{"html": "text/html", "htm": "text/html", "shtml": "text/html", "css": "text/css"}},
		{"on one line", "types{text/html html;}", map[string]string{"html": "text/html"}},
		{"comments", "# all\ntypes { # begin\ntext/html html # htm\n htm2;\n# text/css css;\n} # end", map[string]string{"html": "text/html", "htm2": "text/html"}},
		{"a hash within a word", "types { text/x a#b; }", map[string]string{"a#b": "text/x"}},
		{"quotes", `types { "application/x y" 'a b' "c\"d"; }`, map[string]string{"a b": "application/x y", `c"d`: "application/x y"}},
		{"escapes", `types { text/x\ y a\\b \;c; }`, map[string]string{`a\b`: `text/x\ y`, `\;c`: `text/x\ y`}},
		{"upper case", "types { text/HTML HTML Ä; }", map[string]string{"html": "text/HTML", "Ä": "text/HTML"}},
		{"the last one counts", "types { text/a x; text/b x; }", map[string]string{"x": "text/b"}},
		{"two blocks", "types { text/a a; }\ntypes { text/b b; }", map[string]string{"a": "text/a", "b": "text/b"}},
		{"nothing is mapped", "types { }", map[string]string{}},
		{"carriage returns", "types {\r\n text/a a;\r\n}\r\n", map[string]string{"a": "text/a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := typesOf(tt.text)
			if err != nil || got == nil || !maps.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestParseTypesNamesTheLine(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		line       int
		want       string
	}{
		{"empty", "", 1, "no `types { … }` block"},
		{"comments only", "# nothing\n", 1, "no `types { … }` block"},
		{"another directive", "\nworker_processes 1;", 2, "`worker_processes 1` stands where only"},
		{"another block", "http {\n}", 1, "`http` stands where only"},
		{"a type outside", "types {}\ntext/html html;", 2, "`text/html html` stands where only"},
		{"no semicolon", "types {\ntext/html html\n}", 3, "unexpected \"}\"; `text/html html` has no"},
		{"no semicolon at the end", "types {\ntext/html html", 2, "`text/html html` has no"},
		{"no closing brace", "types {\ntext/html html;\n", 3, "ends before the `}` of `types`, which line 1 opens"},
		{"one brace too many", "types {}\n}", 2, `unexpected "}"`},
		{"a block within", "types {\ntext/html {}}", 2, "a block within types"},
		{"include of two files", "types {\n\ninclude a b;}", 3, "include takes one file name"},
		{"turned round", "types { html text/html;\n}", 1, `"html" is no type`},
		{"no extension", "types {\ntext/html;\n}", 2, "text/html has no extension"},
		{"lone semicolon", "types {\n;}", 2, `unexpected ";"`},
		{"open quote", "types {\n\"text/html html;\n}", 2, "never closed"},
		{"text after a quote", "types {\n\"text/html\"html;\n}", 2, `unexpected "h" after a closing quote`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := typesOf(tt.text)
			var at *SyntaxError
			if !errors.As(err, &at) || at.Line != tt.line || !strings.Contains(at.What, tt.want) {
				t.Errorf("got %q, %v; want line %d: %s", got, err, tt.line, tt.want)
			}
		})
	}
}

func TestReadTypesNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mime.types")
	if err := os.WriteFile(path, []byte("types {\nhtml;\n}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTypes(path); err == nil || !strings.HasPrefix(err.Error(), path+":2: ") {
		t.Errorf("got %v, want %s:2: …", err, path)
	}
}

// Types can be written in nginx's syntax and read again.
func FuzzParseTypes(f *testing.F) {
	f.Add("types { text/html html htm; # x\n \"a/b c\" 'd'; }")
	f.Add("types{a/b \\;c;}types{}")
	f.Add("include x;")
	f.Fuzz(func(t *testing.T, text string) {
		types, err := typesOf(text)
		if err != nil {
			var at *SyntaxError
			if !errors.As(err, &at) || at.Line < 1 || at.Line > 1+strings.Count(text, "\n") {
				t.Fatalf("error without a line of the text: %v", err)
			}
			return
		}
		var b strings.Builder
		b.WriteString("types {")
		for extension, mediaType := range types {
			b.WriteString(" " + quote(mediaType) + " " + quote(extension) + ";")
		}
		again, err := typesOf(b.String() + "}")
		if err != nil || !maps.Equal(types, again) {
			t.Fatalf("%q\nbecomes %q, %v\nof %s}", types, again, err, b.String())
		}
	})
}

// quote writes a word such that nginx reads it back unchanged.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
