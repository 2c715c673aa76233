package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// readTypes reads the file that nginx includes as its types map, such as
// /etc/nginx/mime.types. See parseTypes.
func readTypes(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	types, err := parseTypes(string(text))
	var at *lineError
	if errors.As(err, &at) {
		return nil, fmt.Errorf("%s:%d: %s", path, at.line, at.what)
	}
	return types, err
}

// A lineError is a mistake on one line of a file, counted from 1.
type lineError struct {
	line int
	what string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.what) }

// parseTypes reads `types { text/html html htm; … }`: from extensions, in
// lower case as nginx compares them, to types. There may be several blocks; an
// extension that is mapped twice has its last type, as in nginx. An empty
// block maps nothing, and is not the stock map. The error is a *lineError.
func parseTypes(text string) (map[string]string, error) {
	l := confLexer{rest: text, line: 1}
	types := map[string]string{}
	for blocks := 0; ; blocks++ {
		head, err := l.next()
		switch {
		case err != nil:
			return nil, err
		case head.end == 0 && blocks == 0:
			return nil, &lineError{head.line, "no `types { … }` block in here; name the file that nginx includes, as in /etc/nginx/mime.types"}
		case head.end == 0:
			return types, nil
		case head.end != '{' || len(head.words) != 1 || head.words[0] != "types":
			return nil, &lineError{head.line, fmt.Sprintf("%s stands where only `types { … }` may; name a file with nothing else, as nginx's mime.types", head)}
		}
		if err := parseBlock(&l, types); err != nil {
			return nil, err
		}
	}
}

// parseBlock adds what stands up to the closing brace.
func parseBlock(l *confLexer, types map[string]string) error {
	for {
		d, err := l.next()
		switch {
		case err != nil:
			return err
		case d.end == '}':
			return nil
		case d.end == 0:
			return &lineError{d.line, "the file ends before the `}` of types"}
		case d.end == '{':
			return &lineError{d.line, "a block within types; only lines as `text/html html htm;` may stand there"}
		case d.words[0] == "include":
			return &lineError{d.line, "include is not followed; copy what it includes into a file of its own"}
		case !strings.Contains(d.words[0], "/"):
			return &lineError{d.line, fmt.Sprintf("%q is no type; the type comes first and its extensions after it, as in `text/html html htm;`", d.words[0])}
		case len(d.words) == 1:
			return &lineError{d.line, fmt.Sprintf("%s has no extension; add one, or remove the line", d.words[0])}
		}
		for _, extension := range d.words[1:] {
			types[lowerASCII(extension)] = d.words[0]
		}
	}
}

// lowerASCII is ngx_strlow: bytes beyond ASCII stay as they are.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// A directive is a run of words and what ends it: ';', '{', '}' (which has no
// words before it), or 0 for the end of the file.
type directive struct {
	words []string
	end   byte
	line  int // of the first word
}

func (d directive) String() string {
	if len(d.words) == 0 {
		return fmt.Sprintf("%q", string(d.end))
	}
	return fmt.Sprintf("%q", strings.Join(d.words, " "))
}

// A confLexer cuts a file into directives as ngx_conf_read_token does.
type confLexer struct {
	rest string
	line int
}

// next returns the next directive. Its error is a *lineError.
func (l *confLexer) next() (directive, error) {
	var d directive
	for {
		l.skipBlank()
		if len(d.words) == 0 {
			d.line = l.line
		}
		if l.rest == "" {
			if len(d.words) > 0 {
				return d, &lineError{d.line, fmt.Sprintf("%s has no `;` at its end", d)}
			}
			return d, nil
		}
		switch c := l.rest[0]; c {
		case ';', '{', '}':
			if c == '}' && len(d.words) > 0 {
				return d, &lineError{l.line, fmt.Sprintf("unexpected \"}\"; %s has no `;` at its end", d)}
			}
			if c != '}' && len(d.words) == 0 {
				return d, &lineError{l.line, fmt.Sprintf("unexpected %q", string(c))}
			}
			l.rest = l.rest[1:]
			d.end = c
			return d, nil
		}
		word, err := l.word()
		if err != nil {
			return d, err
		}
		d.words = append(d.words, word)
	}
}

// skipBlank skips white space and comments, which begin where a word could.
func (l *confLexer) skipBlank() {
	for l.rest != "" {
		switch l.rest[0] {
		case '\n':
			l.line++
		case ' ', '\t', '\r':
		case '#':
			end := strings.IndexByte(l.rest, '\n')
			if end < 0 {
				end = len(l.rest)
			}
			l.rest = l.rest[end:]
			continue
		default:
			return
		}
		l.rest = l.rest[1:]
	}
}

func (l *confLexer) word() (string, error) {
	if c := l.rest[0]; c == '"' || c == '\'' {
		return l.quoted(c)
	}
	var b strings.Builder
	for l.rest != "" && strings.IndexByte(" \t\r\n;{", l.rest[0]) < 0 {
		l.take(&b)
	}
	return b.String(), nil
}

// quoted reads up to the closing quote, which must end the word.
func (l *confLexer) quoted(quote byte) (string, error) {
	from := l.line
	var b strings.Builder
	for l.rest = l.rest[1:]; l.rest != "" && l.rest[0] != quote; {
		l.take(&b)
	}
	if l.rest == "" {
		return "", &lineError{from, "the quote that opens here is never closed"}
	}
	l.rest = l.rest[1:]
	if l.rest != "" && strings.IndexByte(" \t\r\n;{", l.rest[0]) < 0 {
		return "", &lineError{l.line, fmt.Sprintf("unexpected %q after a closing quote", l.rest[:1])}
	}
	return b.String(), nil
}

// take moves one byte, or what a backslash stands for, to b.
func (l *confLexer) take(b *strings.Builder) {
	c, n := l.rest[0], 1
	if c == '\\' && len(l.rest) > 1 {
		if i := strings.IndexByte(`"'\trn`, l.rest[1]); i >= 0 {
			c, n = "\"'\\\t\r\n"[i], 2
		} else {
			// The backslash stays, and shields what follows it.
			b.WriteByte(c)
			c, l.rest = l.rest[1], l.rest[1:]
		}
	}
	if l.rest[0] == '\n' {
		l.line++
	}
	b.WriteByte(c)
	l.rest = l.rest[n:]
}
