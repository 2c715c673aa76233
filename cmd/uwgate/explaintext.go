package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"uwgate/gateway"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// writeExplanation prints an explanation for people, a section a step.
func writeExplanation(w io.Writer, q question, e *gateway.Explanation) error {
	var s sheet
	s.request(q, e)
	s.key(q, e)
	s.response(e)
	s.refusals(e)
	s.freshness(e)
	s.lost(e)
	s.tags(e)
	s.purges(e)
	s.memcached(e)
	_, err := io.WriteString(w, s.String()+"\n"+verdictLine(e)+"\n")
	return err
}

// sheetWidth is the width of a terminal. Keys and URLs are never broken.
const sheetWidth = 80

// A sheet is text in sections of labelled rows.
type sheet struct {
	strings.Builder
	indent int // where the text of the section's rows begins
}

// section begins a section whose longest label has that many letters.
func (s *sheet) section(title string, longest int) {
	if s.Len() > 0 {
		s.WriteByte('\n')
	}
	s.WriteString(title + "\n")
	s.indent = 2
	if longest > 0 {
		s.indent += longest + 2
	}
}

// row prints a label, and text wrapped to the width.
func (s *sheet) row(label, text string) {
	at := s.label(label)
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > sheetWidth:
			s.WriteString("\n" + strings.Repeat(" ", s.indent))
			at = s.indent
		default:
			s.WriteByte(' ')
			at++
		}
		s.WriteString(word)
		at += n
	}
	s.WriteByte('\n')
}

// value prints a label and text without wrapping. It quotes text with control bytes.
func (s *sheet) value(label, text string) {
	s.label(label)
	s.WriteString(printable(text) + "\n")
}

// clipped prints like value, and cuts off what is longer than the line.
func (s *sheet) clipped(label, text string) {
	at := s.label(label)
	s.WriteString(clip(printable(text), max(sheetWidth-at, 20)) + "\n")
}

// clip shortens text to at most n letters.
func clip(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// label prints a label, and returns the column after it.
func (s *sheet) label(label string) (column int) {
	n := utf8.RuneCountInString(label)
	pad := max(s.indent-2-n, 0)
	if n > 0 {
		pad = max(pad, 2)
	}
	s.WriteString("  " + label + strings.Repeat(" ", pad))
	return 2 + n + pad
}

// longest returns the length of the longest label, 28 at most.
func longest(labels ...string) int {
	n := 0
	for _, l := range labels {
		n = max(n, utf8.RuneCountInString(l))
	}
	return min(n, 28)
}

func (s *sheet) request(q question, e *gateway.Explanation) {
	var names []string
	var shown [][2]string
	for _, v := range e.Vars {
		if matters(v, q.vars) {
			names, shown = append(names, v[0]), append(shown, v)
		}
	}
	s.section("Request", longest(append(names, "assumed")...))
	for _, v := range shown {
		s.clipped(v[0], v[1])
	}
	for i, a := range q.assumed {
		s.row(onlyFirst(i, "assumed"), a)
	}
	switch {
	case len(e.Dropped) > 0:
		s.row("dropped", strings.Join(e.Dropped, ", ")+"; kept from the worker")
	case e.Refused == "" || e.Backend != "":
		s.row("dropped", "nothing")
	}
}

// matters reports whether the explanation shows a var.
func matters(v [2]string, all uwsgi.Vars) bool {
	switch name, value := v[0], v[1]; name {
	case "REQUEST_METHOD", "REQUEST_URI", "REQUEST_SCHEME", "CACHE_KEY", "CACHE_STATUS", "CACHE_SERVER":
		return true
	case "PATH_INFO":
		path, _, _ := strings.Cut(all.Get("REQUEST_URI"), "?")
		return value != path
	case "CONTENT_LENGTH", "REMOTE_USER":
		return value != ""
	case "SERVER_NAME":
		return all.Get("HTTP_HOST") == ""
	default:
		return strings.HasPrefix(name, "HTTP_") || strings.HasPrefix(name, "UWSGI_")
	}
}

func onlyFirst(i int, label string) string {
	if i > 0 {
		return ""
	}
	return label
}

func (s *sheet) key(q question, e *gateway.Explanation) {
	p := e.Policy
	s.section("Key", len("looked up"))
	source := map[string]string{
		"nginx":    "handed over by nginx, as CACHE_KEY",
		"template": "derived by --key, or its default",
		"none":     "none: nginx hands no key over, and none can be derived",
	}[p.KeySource]
	s.row("source", source)
	if p.Key != "" {
		s.value("raw", p.Key)
		s.value("wire", e.Wire)
		for i, server := range e.Servers {
			s.value(onlyFirst(i, "server"), server)
		}
	}
	s.row("looked up", yesNo(p.LookedUp, "yes, and missed", "nginx is not known to have asked for this key and missed"))
	if p.URI != "" {
		s.value("asked for", p.URI)
	}
	if p.Rule != "" {
		s.row("rule", p.Rule+q.s.WhichRule(p.Rule))
	}
}

func yesNo(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func (s *sheet) response(e *gateway.Explanation) {
	var names []string
	for _, h := range e.Header {
		names = append(names, h[0])
	}
	s.section("Response", longest(append(names, "backend")...))
	if e.Backend != "" {
		s.value("backend", e.Backend)
	}
	if e.Status != 0 {
		s.row("status", fmt.Sprint(e.Status))
	}
	for _, h := range e.Header {
		s.clipped(h[0], h[1])
	}
	if e.Refused != "" {
		s.row("ended", e.Refused)
	}
}

func (s *sheet) refusals(e *gateway.Explanation) {
	found := e.Policy.Refusals
	if len(found) == 0 {
		return
	}
	var words []string
	for _, f := range found {
		words = append(words, string(f.Reason))
	}
	s.section("Against storing (each word has its row in docs/decisions.md)", longest(words...))
	for i, f := range found {
		s.row(string(f.Reason), sentence(f.Detail))
		if advice := adviceOf(f); advice != "" && !hasReason(found[i+1:], f.Reason) {
			s.row("", "To do: "+sentence(advice))
		}
	}
}

// hasReason reports whether a reason is among the findings.
func hasReason(found []policy.Finding, r policy.Reason) bool {
	for _, f := range found {
		if f.Reason == r {
			return true
		}
	}
	return false
}

// sentence ends s with a full stop.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

func (s *sheet) freshness(e *gateway.Explanation) {
	steps := e.Policy.Freshness
	if len(steps) == 0 {
		return
	}
	var sources, labels []string
	for _, step := range steps {
		sources = append(sources, step.Source)
	}
	column, widest := longest(sources...), 0
	for _, step := range steps {
		label := fmt.Sprintf("%-*s  %s", column, step.Source, clip(printable(step.Value), len(http.TimeFormat)))
		labels, widest = append(labels, label), max(widest, utf8.RuneCountInString(label))
	}
	s.section("Lifetime", widest)
	for i, step := range steps {
		s.row(labels[i], step.Detail)
	}
}

func (s *sheet) lost(e *gateway.Explanation) {
	lost := e.Policy.Lost
	if len(lost) == 0 {
		return
	}
	s.section("Hits lack, unless nginx adds it (add_header and --nginx-adds)", 0)
	for _, h := range lost {
		s.clipped("", h)
	}
}

// shownTags is how many tags of a page are shown.
const shownTags = 20

func (s *sheet) tags(e *gateway.Explanation) {
	v := e.Policy.Verdict
	if len(v.Tags) == 0 && !v.TagsLost {
		return
	}
	s.section("Tags, by which the page can be purged", 0)
	for _, tag := range v.Tags[:min(len(v.Tags), shownTags)] {
		s.clipped("", tag)
	}
	if n := len(v.Tags) - shownTags; n > 0 {
		s.row("", fmt.Sprintf("and %d more", n))
	}
	if v.TagsLost {
		s.row("", "and any other: there are more, or longer ones, than uwgate keeps, or Cache-Groups is not a list of strings")
	}
}

// purges says what a POST or the like makes old.
func (s *sheet) purges(e *gateway.Explanation) {
	p := e.Policy
	if len(p.Deletes)+len(p.Purges) == 0 {
		return
	}
	s.section("Purges, if the response is 2xx or 3xx", len("response"))
	for i, key := range p.Deletes {
		s.value(onlyFirst(i, "its page"), key)
	}
	for i, scope := range p.Purges {
		s.value(onlyFirst(i, "rules"), scope)
	}
	if len(p.Purges) == 0 {
		s.row("rules", "nothing: no rule with purge matches")
	}
	s.row("response", "what its Location, Content-Location and Cache-Group-Invalidation name")
}

func (s *sheet) memcached(e *gateway.Explanation) {
	s.section("memcached", len("fresh page"))
	switch {
	case e.Policy.Key == "":
		s.row("holds", "nothing to look up: there is no key that memcached would take")
	case e.StoreErr != "":
		s.row("error", e.StoreErr)
	case e.Stored == nil:
		s.row("holds", "nothing under this key")
	default:
		c := e.Stored
		s.value("server", c.Server)
		s.row("holds", fmt.Sprintf("%d bytes, flags %d", c.Bytes, c.Flags))
		if c.Usage != nil {
			s.row("usage", usageLine(c.Usage))
		}
		switch {
		case e.Status == 0:
			s.row("fresh page", "there is none to compare with")
		case c.Same:
			s.row("fresh page", "the same")
		default:
			s.row("fresh page", "differs: "+c.Differs)
		}
	}
}

func usageLine(u *gateway.StoredUsage) string {
	line := yesNo(u.Served, "served since it was stored, ", "not served yet, ")
	switch {
	case u.TTL < 0:
		line += "never expires"
	default:
		line += fmt.Sprintf("expires in %d s", u.TTL)
	}
	return line + yesNo(u.Stale, "; purged, and served until a request refreshes it", "")
}

// verdictLine returns the outcome in one line.
func verdictLine(e *gateway.Explanation) string {
	v := e.Policy.Verdict
	switch more := len(e.Policy.Refusals) - 1; {
	case v.Store:
		return fmt.Sprintf("Would be stored for %d s: %s.", v.TTL, v.Reason)
	case v.Observe:
		return fmt.Sprintf("Would not be stored: observe. Without it for %d s: %s.", v.TTL, v.Reason)
	case v.Reason == "":
		return "Would not be stored: there is no response."
	case more > 0:
		return fmt.Sprintf("Would not be stored: %s, and %d more.", v.Reason, more)
	default:
		return fmt.Sprintf("Would not be stored: %s.", v.Reason)
	}
}
