package nginxconf

import (
	"fmt"
	"slices"
	"strings"
)

// A SyntaxError is a mistake with which nginx would not start.
type SyntaxError struct {
	Place
	What string
}

func (e *SyntaxError) Error() string { return e.Place.String() + ": " + e.What }

// mistake returns a SyntaxError.
func (p Place) mistake(format string, args ...any) error {
	return &SyntaxError{p, fmt.Sprintf(format, args...)}
}

// A statement is a run of words and what ends it: ';', '{', '}' (without words), or 0 at
// the end of the file.
type statement struct {
	Place // of the first word
	words []string
	end   byte
}

func (s statement) String() string {
	if len(s.words) == 0 {
		return fmt.Sprintf("%q", string(s.end))
	}
	return asCode(s.words...)
}

// asCode writes a directive as messages name it. Quotes are left out, except those of an
// empty word.
func asCode(words ...string) string {
	shown := slices.Clone(words)
	for i, word := range shown {
		if word == "" {
			shown[i] = `""`
		}
	}
	return "`" + strings.Join(shown, " ") + "`"
}

// A lexer cuts a file into statements as ngx_conf_read_token does. Its errors are
// *SyntaxErrors.
type lexer struct {
	Place // of rest
	rest  string
}

func newLexer(file, text string) *lexer { return &lexer{Place{file, 1, 1}, text} }

func (l *lexer) next() (statement, error) {
	var s statement
	for {
		l.skipBlank()
		if len(s.words) == 0 {
			s.Place = l.Place
		}
		if l.rest == "" {
			if len(s.words) > 0 {
				return s, s.mistake("%s has no `;` at its end", s)
			}
			return s, nil
		}
		switch c := l.rest[0]; c {
		case ';', '{', '}':
			if c == '}' && len(s.words) > 0 {
				return s, l.mistake("unexpected \"}\"; %s has no `;` at its end", s)
			}
			if c != '}' && len(s.words) == 0 {
				return s, l.mistake("unexpected %q", string(c))
			}
			l.skip(1)
			s.end = c
			return s, nil
		}
		word, err := l.word()
		if err != nil {
			return s, err
		}
		s.words = append(s.words, word)
	}
}

// skip skips n bytes.
func (l *lexer) skip(n int) {
	l.Line += strings.Count(l.rest[:n], "\n")
	if i := strings.LastIndexByte(l.rest[:n], '\n'); i >= 0 {
		l.Column = n - i
	} else {
		l.Column += n
	}
	l.rest = l.rest[n:]
}

// skipTo skips up to that text, or everything if it does not occur.
func (l *lexer) skipTo(text string) {
	n := strings.Index(l.rest, text)
	if n < 0 {
		n = len(l.rest)
	}
	l.skip(n)
}

// skipBlank skips white space and comments, which can begin only where a word can.
func (l *lexer) skipBlank() {
	for l.rest != "" {
		switch l.rest[0] {
		case ' ', '\t', '\r', '\n':
			l.skip(1)
		case '#':
			l.skipTo("\n")
		default:
			return
		}
	}
}

func (l *lexer) word() (string, error) {
	if c := l.rest[0]; c == '"' || c == '\'' {
		return l.quoted(c)
	}
	var b strings.Builder
	for variable := false; l.rest != ""; {
		c := l.rest[0]
		if strings.IndexByte(" \t\r\n;{", c) >= 0 && !(c == '{' && variable) {
			break
		}
		variable = c == '$' || c == '{' && variable
		l.take(&b)
	}
	return b.String(), nil
}

// quoted reads up to the closing quote, which must end the word. Only a bracket may follow
// it directly, as in `if ($a = "b")`; it is the next word.
func (l *lexer) quoted(quote byte) (string, error) {
	from := l.Place
	var b strings.Builder
	for l.skip(1); l.rest != "" && l.rest[0] != quote; {
		l.take(&b)
	}
	if l.rest == "" {
		return "", from.mistake("the quote that opens here is never closed")
	}
	l.skip(1)
	if l.rest != "" && strings.IndexByte(" \t\r\n;{)", l.rest[0]) < 0 {
		return "", l.mistake("unexpected %q after a closing quote", l.rest[:1])
	}
	return b.String(), nil
}

// take moves one byte, or what an escape stands for, to b.
func (l *lexer) take(b *strings.Builder) {
	c, n := l.rest[0], 1
	if c == '\\' && len(l.rest) > 1 {
		if i := strings.IndexByte(`"'\trn`, l.rest[1]); i >= 0 {
			c, n = "\"'\\\t\r\n"[i], 2
		} else {
			// The backslash stays, and shields what follows it.
			b.WriteByte(c)
			l.skip(1)
			c = l.rest[0]
		}
	}
	b.WriteByte(c)
	l.skip(n)
}

// skipLua skips a Lua block up to its closing brace. Braces in strings and comments do not
// count.
func (l *lexer) skipLua(from Place) error {
	for depth := 1; l.rest != ""; {
		switch c := l.rest[0]; {
		case c == '{':
			depth++
			l.skip(1)
		case c == '}':
			depth--
			l.skip(1)
			if depth == 0 {
				return nil
			}
		case c == '"', c == '\'':
			l.skipLuaString(c)
		case l.skipLongBracket("--"), l.skipLongBracket(""):
		case strings.HasPrefix(l.rest, "--"):
			l.skipTo("\n")
		default:
			l.skip(1)
		}
	}
	return from.mistake("the Lua block that opens here is never closed")
}

// skipLuaString skips a string. It ends at the end of the line at the latest.
func (l *lexer) skipLuaString(quote byte) {
	for l.skip(1); l.rest != "" && l.rest[0] != quote && l.rest[0] != '\n'; {
		l.skip(min(len(l.rest), 1+strings.Count(l.rest[:1], `\`)))
	}
	if l.rest != "" {
		l.skip(1)
	}
}

// skipLongBracket skips [[ … ]] or [=[ … ]=] after the prefix, and reports whether one
// stands there.
func (l *lexer) skipLongBracket(prefix string) bool {
	inner, ok := strings.CutPrefix(l.rest, prefix+"[")
	signs := inner[:len(inner)-len(strings.TrimLeft(inner, "="))]
	if !ok || !strings.HasPrefix(inner[len(signs):], "[") {
		return false
	}
	l.skipTo("]" + signs + "]")
	l.skip(min(len(l.rest), len(signs)+2))
	return true
}
