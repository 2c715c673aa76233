package nginxconf

import (
	"fmt"
	"slices"
	"sort"
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
	edits = gathered(file, edits)
	gone := map[Place]bool{}
	for _, e := range edits {
		gone[e.Place] = gone[e.Place] || e.Do == Delete
	}
	var changes []change
	for _, e := range edits {
		s := spans[e.Place]
		if s == nil {
			return "", fmt.Errorf("%s: no directive begins in column %d; the file is not the one that was read", e.Place, e.Column)
		}
		if e.inserts() && !s.isBlock() {
			return "", fmt.Errorf("%s: no block begins in column %d; the file is not the one that was read", e.Place, e.Column)
		}
		if e.inserts() {
			e.Lines = s.missing(e.Lines, gone)
		}
		if !e.inserts() || len(e.Lines) > 0 {
			changes = add(changes, s.change(text, e))
		}
	}
	return makeChanges(text, changes), nil
}

// gathered returns the edits of a file. Those that insert at the same place are one, in
// which each line stands once.
func gathered(file string, edits []Edit) (all []Edit) {
	type where struct {
		Place
		do Action
	}
	inserts := map[where]int{}
	for _, e := range edits {
		at := where{e.Place, e.Do}
		i, known := inserts[at]
		switch {
		case e.File != file:
			continue
		case e.inserts() && known:
			all[i].Lines = append(all[i].Lines, e.Lines...)
			continue
		case e.inserts():
			inserts[at] = len(all)
			e.Lines = slices.Clone(e.Lines)
		}
		all = append(all, e)
	}
	return all
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
	do         Action
	begin, end int
	text       string
}

// isBefore reports whether the text of c stands before that of the other, earlier change.
func (c change) isBefore(other change) bool {
	if c.begin != other.begin {
		return c.begin < other.begin
	}
	return c.end < other.end || c.do == Begin && other.do == End && c.end == other.end
}

// add adds a change, unless it changes what one before it replaces, or the other way round.
// The changes are in the order of the text, and none is in another one.
func add(changes []change, c change) []change {
	at := sort.Search(len(changes), func(i int) bool { return c.isBefore(changes[i]) })
	isIn := func(other change) bool { return c.begin < other.end && other.begin < c.end }
	if at > 0 && isIn(changes[at-1]) || at < len(changes) && isIn(changes[at]) {
		return changes
	}
	return slices.Insert(changes, at, c)
}

// missing returns the lines that the block does not have, each once. Of a block only the head
// is compared. Directives that are gone do not count: another edit may write them elsewhere.
func (s *span) missing(lines []string, gone map[Place]bool) (all []string) {
	known := map[string]bool{}
	for _, own := range s.inner {
		if !gone[own.Place] {
			known[strings.Join(own.words, "\x00")] = true
		}
	}
	added := map[string]bool{}
	for _, line := range lines {
		head, err := newLexer("", line).next()
		if err == nil && known[strings.Join(head.words, "\x00")] || added[line] {
			continue
		}
		added[line] = true
		all = append(all, line)
	}
	return all
}

// change returns what an edit does.
func (s *span) change(text string, e Edit) change {
	c, lines := change{do: e.Do}, e.Lines
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
		return s.replaced(text, lines, own)
	}
	c.end = max(c.begin, c.end)
	return c
}

// replaced puts the lines in the place of the directive. Without lines, the line that only
// the directive had goes, too.
func (s *span) replaced(text string, lines []string, own string) change {
	c := change{begin: s.begin, end: s.end}
	separator := " "
	if isBlank(text, s.begin) {
		separator = "\n"
	}
	if c.text = indented(strings.Join(lines, separator), own); c.text != "" {
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
	var b strings.Builder
	done := 0
	for _, c := range changes {
		b.WriteString(text[done:c.begin] + c.text)
		done = c.end
	}
	return b.String() + text[done:]
}
