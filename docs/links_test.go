// Package docs holds the pages for operators. It has no code: its tests follow the
// links of the pages.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var (
	linkTarget = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	codeSpan   = regexp.MustCompile("`[^`]*`")
	heading    = regexp.MustCompile(`^#{1,6} +(.*)$`)
)

// prose returns the lines of a Markdown page that are not code.
func prose(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	fenced := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		if !fenced && !strings.HasPrefix(line, "    ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// anchors returns the anchors that GitHub gives to a page's headings.
func anchors(t *testing.T, path string) []string {
	t.Helper()
	seen := map[string]int{}
	var all []string
	for _, line := range prose(t, path) {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		n := seen[slug]
		seen[slug]++
		if n > 0 {
			slug += "-" + strconv.Itoa(n)
		}
		all = append(all, slug)
	}
	return all
}

// pages returns the Markdown pages of the repository, relative to this directory.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d pages only: %q", len(all), all)
	}
	return all
}

// Each link to a file leads to a file of the repository, and each link to a heading
// leads to a heading.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, line := range prose(t, page) {
			for _, m := range linkTarget.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, ""), -1) {
				target, anchor, _ := strings.Cut(m[1], "#")
				if strings.Contains(target, ":") {
					continue // not of this repository
				}
				file := page
				if target != "" {
					file = filepath.Join(filepath.Dir(page), target)
				}
				if _, err := os.Stat(file); err != nil {
					t.Errorf("%s: the link %s leads to no file", page, m[1])
					continue
				}
				if anchor != "" && !slices.Contains(anchors(t, file), anchor) {
					t.Errorf("%s: the link %s leads to no heading", page, m[1])
				}
			}
		}
	}
}

// The index has one line for each page.
func TestIndex(t *testing.T) {
	index := strings.Join(prose(t, "README.md"), "\n")
	all, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range all {
		if n := strings.Count(index, "\n- ["+page+"]("+page+"): "); n != 1 && page != "README.md" {
			t.Errorf("docs/README.md has %d lines for %s, want 1", n, page)
		}
	}
}
