package deploy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// pieces divides a page into lines, and what is too long for a line at the ends of tags: a
// page without line feeds is common.
func pieces(body string) []string {
	var all []string
	for line := range strings.SplitSeq(body, "\n") {
		line = strings.TrimRight(line, " \t\r")
		for len(line) > maxPiece {
			end := strings.IndexByte(line, '>') + 1
			if end <= 0 || end == len(line) {
				break
			}
			all, line = append(all, line[:end]), line[end:]
		}
		all = append(all, line)
	}
	return all
}

// maxPiece is how long a line may be that is not divided.
const maxPiece = 160

// A shape is what two fetches of one page have in common: pieces, and gaps where they
// differ.
type shape struct {
	parts []string // those between the gaps, joined; see gap
	noise []hunk   // where the fetches differ
	vague bool     // the gaps are more than half of the page
}

// gap is a piece that stands for any number of pieces. No page contains it: a NUL is in
// no text.
const gap = "\x00"

// shapeOf compares two fetches.
func shapeOf(a, b []string) shape {
	s, at, kept := shape{noise: hunks(a, b)}, 0, 0
	for _, h := range s.noise {
		kept += h.a - at
		s.parts = append(append(s.parts, a[at:h.a]...), gap)
		at = h.aEnd
	}
	s.parts = append(s.parts, a[at:]...)
	s.vague = 2*(kept+len(a)-at) < len(a)
	return s
}

// fits reports whether a page has the shape. Each gap may be any number of pieces.
func (s *shape) fits(page []string) bool {
	at, from, retry, gapAt := 0, 0, 0, -1
	for from < len(page) {
		switch {
		case at < len(s.parts) && s.parts[at] == gap:
			gapAt, retry = at, from
			at++
		case at < len(s.parts) && s.parts[at] == page[from]:
			at, from = at+1, from+1
		case gapAt >= 0: // the last gap takes one piece more
			retry++
			at, from = gapAt+1, retry
		default:
			return false
		}
	}
	for at < len(s.parts) && s.parts[at] == gap {
		at++
	}
	return at == len(s.parts)
}

// A hunk is where two pages differ: the pieces from a to aEnd of the one, in place of which
// the other has those from b to bEnd.
type hunk struct{ a, aEnd, b, bEnd int }

// reach is how far two pages may be apart before the rest counts as different. In place of
// the shortest difference, hunks takes the next piece that both have: it is for people, who
// see the first few lines, and needs no table of all pairs.
const reach = 400

// hunks returns where two pages differ.
func hunks(a, b []string) (all []hunk) {
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		if i < len(a) && j < len(b) && a[i] == b[j] {
			i, j = i+1, j+1
			continue
		}
		h := hunk{a: i, b: j}
		i, j = meet(a, b, i, j)
		h.aEnd, h.bEnd = i, j
		all = append(all, h)
	}
	return all
}

// meet returns the nearest place behind i and j where the pages agree again, or end.
func meet(a, b []string, i, j int) (int, int) {
	for apart := 1; apart <= reach; apart++ {
		for k := range apart + 1 {
			if agree(a, b, i+k, j+apart-k) {
				return i + k, j + apart - k
			}
		}
	}
	return len(a), len(b)
}

// agree reports whether the pages go on with the same piece, which says something by itself
// or is followed by another that is the same.
func agree(a, b []string, i, j int) bool {
	switch {
	case i >= len(a) || j >= len(b):
		return i == len(a) && j == len(b)
	case a[i] != b[j]:
		return false
	}
	text := strings.TrimSpace(a[i])
	if len(text) >= 8 && !strings.HasPrefix(text, "</") {
		return true
	}
	return i+1 == len(a) && j+1 == len(b) || i+1 < len(a) && j+1 < len(b) && a[i+1] == b[j+1]
}

// Bounds of a difference for people.
const (
	maxDiffLines = 12
	maxDiffWidth = 140
)

// difference returns the first lines in which two pages differ: those of the stored one
// after a minus, those of the new one after a plus. noise is where the new page differs from
// itself, which is left out.
func difference(stored, fresh []string, noise []hunk) (lines []string) {
	for _, h := range hunks(stored, fresh) {
		if h.b < h.bEnd && slices.ContainsFunc(noise, func(n hunk) bool { return n.a <= h.b && h.bEnd <= n.aEnd }) {
			continue
		}
		for _, side := range []struct {
			sign   string
			pieces []string
		}{{"-", stored[h.a:h.aEnd]}, {"+", fresh[h.b:h.bEnd]}} {
			for i, piece := range side.pieces {
				if i == maxDiffLines/4 {
					lines = append(lines, fmt.Sprintf("%s … %d more", side.sign, len(side.pieces)-i))
					break
				}
				lines = append(lines, side.sign+" "+short(piece))
			}
		}
		if len(lines) >= maxDiffLines {
			return append(lines[:maxDiffLines], "…")
		}
	}
	return lines
}

// short is a piece without the space before it, and no longer than a line. Control bytes,
// which a terminal would obey, are quoted.
func short(piece string) string {
	piece = strings.TrimSpace(piece)
	if strings.ContainsFunc(piece, unicode.IsControl) || !utf8.ValidString(piece) {
		piece = fmt.Sprintf("%q", piece)
	}
	if runes := []rune(piece); len(runes) > maxDiffWidth {
		return string(runes[:maxDiffWidth]) + "…"
	}
	return piece
}
