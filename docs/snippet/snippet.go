// Package snippet finds the code in README.md and docs/, for tests: commands that can be run,
// and files.
package snippet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Block is a block of code in a page.
type Block struct {
	Place    string // page:line of its first line
	Language string // behind the fence; empty: none
	Text     string // without indentation
}

// A Command is a line of a shell, or several that backslashes join.
type Command struct {
	Place   string
	Text    string
	Words   []string // up to a pipe, a redirection or the like
	Prompt  bool     // it had "$ " or "# " before it
	Partial bool     // it has an ellipsis, which is not in Words
}

// Blocks returns all blocks of README.md and docs/ below root.
func Blocks(t *testing.T, root string) (blocks []Block) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, find(filepath.Base(page), string(text))...)
	}
	return blocks
}

// find returns the blocks of a page.
func find(page, text string) (blocks []Block) {
	var b *Block
	end := func() {
		if b != nil {
			b.Text = strings.TrimRight(b.Text, "\n") + "\n"
			blocks = append(blocks, *b)
		}
		b = nil
	}
	fenced, blank := false, true
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\n")
		fence, language := strings.HasPrefix(line, "```"), strings.TrimPrefix(line, "```")
		switch {
		case fence && fenced:
			fenced = false
			end()
		case fence:
			end()
			fenced = true
			b = &Block{Place: fmt.Sprintf("%s:%d", page, n+1), Language: language}
		case fenced:
			b.Text += line + "\n"
		case strings.HasPrefix(line, "    ") && (b != nil || blank):
			if b == nil {
				b = &Block{Place: fmt.Sprintf("%s:%d", page, n)}
			}
			b.Text += line[4:] + "\n"
		case line == "" && b != nil:
			b.Text += "\n"
		default:
			end()
		}
		blank = line == ""
	}
	end()
	return blocks
}

// Commands returns the commands of all blocks: lines that begin with "$ ", with "# " and a
// program's name, or with uwgate or make, variables before it or not.
func Commands(t *testing.T, root string) (commands []Command) {
	t.Helper()
	for _, b := range Blocks(t, root) {
		joined := strings.ReplaceAll(b.Text, "\\\n", " ")
		for line := range strings.Lines(joined) {
			if c, ok := parse(strings.TrimSpace(line)); ok {
				c.Place = b.Place
				commands = append(commands, c)
			}
		}
	}
	return commands
}

func parse(line string) (Command, bool) {
	c := Command{Text: line, Partial: strings.Contains(line, "…")}
	rest := line
	for _, prompt := range []string{"$ ", "# uwgate ", "# make ", "# systemctl ", "# nginx ", "# apt ", "# ln ", "# adduser ", "# openssl ", "# chmod "} {
		if strings.HasPrefix(line, prompt) {
			c.Prompt, rest = true, line[2:]
		}
	}
	words := split(rest)
	for len(words) > 0 && strings.Contains(words[0], "=") && !strings.HasPrefix(words[0], "-") {
		words = words[1:]
	}
	if len(words) == 0 || !c.Prompt && (words[0] != "uwgate" && words[0] != "make" || strings.HasSuffix(words[0], ":") || len(words) > 1 && strings.HasSuffix(words[1], ":")) {
		return c, false
	}
	c.Words = words
	return c, true
}

// split returns the words of a command as a shell has them, up to a pipe, a redirection, a
// comment or another command. Words with an ellipsis are left out, and the flags before them.
func split(line string) (words []string) {
	var word strings.Builder
	quote, inside := rune(0), false
	flush := func() {
		switch w := word.String(); {
		case inside && !strings.Contains(w, "…"):
			words = append(words, w)
		case inside && len(words) > 1 && strings.HasPrefix(words[len(words)-1], "--"):
			words = words[:len(words)-1]
		}
		word.Reset()
		inside = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inside = r, true
		case r == ' ':
			flush()
		case strings.ContainsRune("|<>;&", r) || r == '#' && !inside:
			flush()
			return words
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	flush()
	return words
}
