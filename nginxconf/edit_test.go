package nginxconf

import (
	"strings"
	"testing"
)

const editedFile = `http {
    # kept
    server { listen 80; }   # one line
    server {
        listen 81; # kept, too
        location / { uwsgi_pass a; }
        location /b {
            set $x "}";
            content_by_lua_block { if a then b = "{" end }
            memcached_read_timeout 60s;
        }
    }
    map $a $b { default 1; }
}
events {}
`

// Edits change what they name, and nothing else.
func TestEdited(t *testing.T) {
	at := func(text string) Place {
		i := strings.Index(editedFile, text)
		before := editedFile[:i]
		return Place{"f", 1 + strings.Count(before, "\n"), i - strings.LastIndex(before, "\n")}
	}
	for _, tt := range []struct {
		name     string
		edits    []Edit
		old, new string
	}{
		{"nothing", nil, "", ""},
		{"another file", []Edit{{Place{"g", 1, 1}, Delete, nil}}, "", ""},
		{"replace", []Edit{{at("memcached_read"), Replace, []string{"memcached_read_timeout 1s;"}}}, "timeout 60s;", "timeout 1s;"},
		{"replace by two", []Edit{{at("memcached_read"), Replace, []string{"a;", "b;"}}}, "memcached_read_timeout 60s;", "a;\n            b;"},
		{"replace within a line", []Edit{{at("uwsgi_pass"), Replace, []string{"a;", "b;"}}}, "uwsgi_pass a;", "a; b;"},
		{"replace a block", []Edit{{at("map"), Replace, []string{"map $a $b {\n    default 2;\n}"}}}, "map $a $b { default 1; }", "map $a $b {\n        default 2;\n    }"},
		{"quoted lines", []Edit{{at("map"), Replace, []string{"map $a $b {\n    \"~\\\"\n a\" 2;\n}"}}}, "map $a $b { default 1; }", "map $a $b {\n        \"~\\\"\n a\" 2;\n    }"},
		{"delete a line", []Edit{{at("memcached_read"), Delete, nil}}, "            memcached_read_timeout 60s;\n", ""},
		{"delete before a comment", []Edit{{at("listen 81"), Delete, nil}}, "listen 81; #", "#"},
		{"delete within a line", []Edit{{at("uwsgi_pass"), Delete, nil}}, "uwsgi_pass a; ", ""},
		{"end", []Edit{{at("location /b"), End, []string{"a;", "b;"}}}, "60s;\n", "60s;\n            a;\n            b;\n"},
		{"end of a line", []Edit{{at("server { listen 80"), End, []string{"a;"}}}, "80; }", "80; a; }"},
		{"end of a line, with a block", []Edit{{at("server { listen 80"), End, []string{"a {\n    b;\n}"}}}, "80; }", "80;\n        a {\n            b;\n        }\n    }"},
		{"begin", []Edit{{at("location /b"), Begin, []string{"a;"}}}, "/b {\n", "/b {\n            a;\n"},
		{"begin before a replaced directive", []Edit{{at("map"), Begin, []string{"x 1;"}}, {at("default 1"), Replace, []string{"default 2;"}}}, "{ default 1;", "{ x 1; default 2;"},
		{"begin of a line", []Edit{{at("location / {"), Begin, []string{"a;"}}}, "/ { uw", "/ { a; uw"},
		{"both ends of nothing", []Edit{{at("events"), End, []string{"b;"}}, {at("events"), Begin, []string{"a;"}}}, "events {}", "events { a; b; }"},
		{"there already", []Edit{{at("location /b"), End, []string{`set $x "}";`}}, {at("http"), End, []string{"map $a $b {\n    x 1;\n}"}}}, "", ""},
		{"moved", []Edit{{at("location /b"), Begin, []string{"memcached_read_timeout 60s;"}}, {at("memcached_read"), Delete, nil}},
			"            set $x \"}\";\n            content_by_lua_block { if a then b = \"{\" end }\n            memcached_read_timeout 60s;\n",
			"            memcached_read_timeout 60s;\n            set $x \"}\";\n            content_by_lua_block { if a then b = \"{\" end }\n"},
		{"twice the same", []Edit{{at("location /b"), End, []string{"a;", "b;"}}, {at("location /b"), End, []string{"b;", "c;"}}}, "60s;\n", "60s;\n            a;\n            b;\n            c;\n"},
		{"three times in a line", []Edit{{at("server { listen 80"), End, []string{"a;"}}, {at("server { listen 80"), End, []string{"b;"}}, {at("server { listen 80"), End, []string{"a;"}}}, "80; }", "80;\n        a;\n        b;\n    }"},
		{"the first counts", []Edit{{at("memcached_read"), Replace, []string{"a;"}}, {at("memcached_read"), Delete, nil}, {at("location /b"), Delete, nil}}, "memcached_read_timeout 60s;", "a;"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := strings.Replace(editedFile, tt.old, tt.new, 1)
			got, err := Edited("f", editedFile, tt.edits)
			if err != nil || got != want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

// An edit of another text is an error.
func TestEditedOfAnotherText(t *testing.T) {
	for _, e := range []Edit{{Place{"f", 2, 2}, Delete, nil}, {Place{"f", 5, 9}, End, []string{"a;"}}} {
		if got, err := Edited("f", editedFile, []Edit{e}); err == nil {
			t.Errorf("%v: got %q", e, got)
		}
	}
}

// Every directive of a configuration has a span.
func FuzzEdited(f *testing.F) {
	f.Add(editedFile)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f", text)
		if err != nil {
			return
		}
		spans, err := spansOf("f", text)
		if err != nil {
			t.Fatal(err)
		}
		for at, n := range c.tree {
			if s := spans[at]; s == nil || s.isBlock() != (n.block != nil && !strings.HasSuffix(n.name, "_by_lua_block")) {
				t.Errorf("%v %s: %+v", at, n.directive, s)
			}
		}
	})
}
