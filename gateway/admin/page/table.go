package page

import (
	"fmt"
	"net/url"
)

// A table is one of the page's.
type table struct {
	ID, Title string
	Source    string // of its numbers
	Note      string
	Head      []column
	Rows      []row
	More      string // what is left out
	Empty     string // is shown in place of no rows
}

type column struct {
	Name   string
	Number bool
}

type row []cell

// A cell is text with at most one decoration.
type cell struct {
	Text   string
	State  string // bad, warn or good
	Link   string // to the form, with this URL
	Share  *bar
	Number bool
	Long   bool // may be broken anywhere
}

// A bar shows a share, from 0 to 100.
type bar struct{ Width string }

// columns makes the head of a table. A name that begins with # is one of numbers.
func columns(names ...string) (head []column) {
	for _, n := range names {
		if n[0] == '#' {
			head = append(head, column{n[1:], true})
		} else {
			head = append(head, column{n, false})
		}
	}
	return head
}

func text(s string) cell { return cell{Text: s} }

func long(s string) cell { return cell{Text: clip(s, 300), Long: true} }

func number[N int | int64 | uint64](n N) cell { return cell{Text: count(n), Number: true} }

func figure(s string) cell { return cell{Text: s, Number: true} }

// trouble is a number that should be 0.
func trouble[N int | int64 | uint64](n N, state string) cell {
	c := number(n)
	if n > 0 {
		c.State = state
	}
	return c
}

// flag is a state in words.
func flag(s, state string) cell { return cell{Text: s, State: state} }

func shareOf(part, all uint64) cell {
	s := share(part, all)
	return cell{Text: percent(s), Number: true, Share: &bar{fmt.Sprintf("%.1f", s*100)}}
}

// linked is a page, which the form explains. Nobody tells its scheme.
func linked(host, uri string) cell {
	c := long(host + uri)
	c.Link = "?url=" + url.QueryEscape("http://"+host+uri) + "#ask"
	return c
}

// cut bounds rows, and says how many are left out.
func (t *table) cut(most int, what string) *table {
	if n := len(t.Rows) - most; n > 0 {
		t.Rows, t.More = t.Rows[:most], fmt.Sprintf("and %s %s", count(n), what)
	}
	return t
}
