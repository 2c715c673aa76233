package nginxconf

import (
	"fmt"
	"slices"
	"strings"
)

// An Action is what an Edit does.
type Action string

const (
	Replace Action = "replace" // the directive at the place, with its block
	Delete  Action = "delete"  // likewise
	Begin   Action = "begin"   // the block that begins at the place with new directives
	End     Action = "end"     // that block with new directives
)

// An Edit is a change of one directive or block. It leaves all else as it is.
type Edit struct {
	Place
	Do    Action
	Lines []string // the new directives, whole ones with their blocks, without indentation
}

func (e Edit) inserts() bool { return e.Do == Begin || e.Do == End }

// Edited returns the text of a file with the edits of that file made. A directive that the
// block has already, and keeps, is not written into it again. Of several edits of one
// directive the first one counts: check the result again, and make those that it still needs.
//
// It is an error if the file has no directive at the place of an edit, because it is
// another text than the one that was read.
func Edited(file, text string, edits []Edit) (string, error) {
	spans, err := spansOf(file, text)
	if err != nil {
		return "", err
	}
	for _, e := range edits {
		if e.File == file && e.Do == Delete {
			strike(spans, e.Place)
		}
	}
	var changes []change
	for _, e := range edits {
		if e.File != file {
			continue
		}
		s := spans[e.Place]
		if s == nil {
			return "", fmt.Errorf("%s: no directive begins in column %d; the file is not the one that was read", e.Place, e.Column)
		}
		if e.inserts() && !s.isBlock() {
			return "", fmt.Errorf("%s: no block begins in column %d; the file is not the one that was read", e.Place, e.Column)
		}
		changes = s.add(changes, text, e)
	}
	return makeChanges(text, changes), nil
}

// A span is where a directive stands in a text, in bytes.
type span struct {
	begin, end  int
	open, close int // after the opening brace, and at the closing one; 0 if there is no block
	inner       []inner
}

// An inner is a directive of a block that stays there.
type inner struct {
	Place
	words []string
}

// strike forgets a directive that is deleted: another edit may write it elsewhere.
func strike(spans map[Place]*span, at Place) {
	for _, s := range spans {
		s.inner = slices.DeleteFunc(s.inner, func(d inner) bool { return d.Place == at })
	}
}

func (s *span) isBlock() bool { return s.close > 0 }

// spansOf finds the directives of a text. The text must be a file that could be read.
func spansOf(file, text string) (map[Place]*span, error) {
	l := newLexer(file, text)
	offset := func() int { return len(text) - len(l.rest) }
	starts := lineStarts(text)
	spans := map[Place]*span{}
	var open []*span
	for {
		s, err := l.next()
		if err != nil {
			return nil, err
		}
		switch {
		case s.end == 0:
			return spans, nil
		case s.end == '}':
			if len(open) == 0 {
				return nil, s.mistake("unexpected \"}\": no block is open here")
			}
			last := open[len(open)-1]
			last.close, last.end = offset()-1, offset()
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 {
			outer := open[len(open)-1]
			outer.inner = append(outer.inner, inner{s.Place, s.words})
		}
		at := &span{begin: starts[s.Line-1] + s.Column - 1, end: offset()}
		spans[s.Place] = at
		switch {
		case s.end == ';':
		case strings.HasSuffix(s.words[0], "_by_lua_block"):
			if err := l.skipLua(s.Place); err != nil {
				return nil, err
			}
			at.end = offset()
		default:
			at.open = offset()
			open = append(open, at)
		}
	}
}

// lineStarts returns where the lines of a text begin.
func lineStarts(text string) []int {
	starts := []int{0}
	for i := range len(text) {
		if text[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// A change replaces a part of a text.
type change struct {
	Place
	do         Action
	begin, end int
	text       string
	lines      []string // that the text has
}

// add adds the change that an edit makes, unless one before it makes it, too.
func (s *span) add(changes []change, text string, e Edit) []change {
	c := s.change(text, e, s.missing(e))
	if e.inserts() && len(c.lines) == 0 {
		return changes
	}
	for i, other := range changes {
		switch {
		case e.inserts() && c.Place == other.Place && c.do == other.do:
			// A line that both write is written once.
			lines := slices.DeleteFunc(slices.Clone(c.lines), func(line string) bool { return slices.Contains(other.lines, line) })
			both := Edit{e.Place, e.Do, slices.Concat(other.lines, lines)}
			changes[i] = s.change(text, both, both.Lines)
			return changes
		case c.begin < other.end && other.begin < c.end:
			return changes // in what the other one replaces, or the other way round
		}
	}
	return append(changes, c)
}

// missing returns the lines of an edit that the block does not have. Of a block only the
// head is compared.
func (s *span) missing(e Edit) []string {
	if !e.inserts() {
		return e.Lines
	}
	return slices.DeleteFunc(slices.Clone(e.Lines), func(line string) bool {
		words, err := newLexer("", line).next()
		return err == nil && slices.ContainsFunc(s.inner, func(own inner) bool { return slices.Equal(own.words, words.words) })
	})
}

// change returns what an edit does with those lines.
func (s *span) change(text string, e Edit, lines []string) change {
	c := change{Place: e.Place, do: e.Do, lines: lines}
	own := indentation(text, s.begin)
	block := indented("\n"+strings.Join(lines, "\n"), own+"    ")
	isShort := len(lines) == 1 && !strings.Contains(lines[0], "\n")
	switch {
	case e.Do == Begin && strings.HasPrefix(strings.TrimLeft(text[s.open:], " \t\r"), "\n"):
		c.begin, c.text = s.open, block
	case e.Do == Begin && isShort:
		c.begin, c.text = s.open, " "+lines[0]
	case e.Do == Begin:
		c.begin, c.text = s.open, block+"\n"+own+"    "
	case e.Do == End && isBlank(text, s.close):
		c.begin, c.text = strings.LastIndexByte(text[:s.close], '\n'), block
	case e.Do == End && isShort && strings.HasSuffix(text[:s.close], " "):
		c.begin, c.text = s.close, lines[0]+" "
	case e.Do == End && isShort:
		c.begin, c.text = s.close, " "+lines[0]+" "
	case e.Do == End:
		c.begin, c.text = len(strings.TrimRight(text[:s.close], " \t")), block+"\n"+own
		c.end = s.close
	default:
		return s.replaced(text, c, own)
	}
	c.end = max(c.begin, c.end)
	return c
}

// replaced puts the lines in the place of the directive. Without lines, the line that only
// the directive had goes, too.
func (s *span) replaced(text string, c change, own string) change {
	c.begin, c.end = s.begin, s.end
	separator := " "
	if isBlank(text, s.begin) {
		separator = "\n"
	}
	if c.text = indented(strings.Join(c.lines, separator), own); c.text != "" {
		return c
	}
	after := strings.TrimLeft(text[s.end:], " \t\r")
	switch {
	case isBlank(text, s.begin) && strings.HasPrefix(after, "\n"):
		c.begin = strings.LastIndexByte(text[:s.begin], '\n') + 1
		c.end = len(text) - len(after) + 1
	case strings.HasPrefix(text[s.end:], " "):
		c.end++
	}
	return c
}

// indented indents all lines but the first one. It leaves quoted arguments as they are.
func indented(text, by string) string {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		b.WriteByte(c)
		switch {
		case quote != 0 && c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" \t\n", text[i-1]) >= 0):
			quote = c
		case quote == 0 && c == '\n':
			b.WriteString(by)
		}
	}
	return b.String()
}

// isBlank reports whether there is only white space on the line before the offset.
func isBlank(text string, offset int) bool {
	line := text[strings.LastIndexByte(text[:offset], '\n')+1 : offset]
	return strings.Trim(line, " \t") == ""
}

// indentation returns the white space at the beginning of the line.
func indentation(text string, offset int) string {
	line := text[strings.LastIndexByte(text[:offset], '\n')+1 : offset]
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

func makeChanges(text string, changes []change) string {
	slices.SortStableFunc(changes, func(a, b change) int { return b.begin - a.begin })
	for _, c := range changes {
		text = text[:c.begin] + c.text + text[c.end:]
	}
	return text
}
