package warm

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// A Summary is what became of the pages. Its JSON form is read by scripts: names stay.
type Summary struct {
	Pages    int             `json:"pages"` // that were requested
	Verdicts map[Verdict]int `json:"verdicts"`
	Stored   map[string]int  `json:"stored"`     // pages that were stored, by reason
	Reasons  map[string]int  `json:"not_stored"` // pages that were not, by reason
	Statuses map[int]int     `json:"statuses"`   // of all responses
	Bytes    int64           `json:"bytes"`      // of bodies as they were sent
	Seconds  float64         `json:"seconds"`
	Yields   int             `json:"yields"` // how often less was requested, because responses were slow or others waited

	Failed     int       `json:"failed"`
	Failures   []Failure `json:"failures"`    // at most 100 of them
	Odd        []Failure `json:"not_found"`   // pages with a status of 400 to 499: at most 100 of them
	Unread     int       `json:"unread"`      // sitemaps that could not be read, and what is no URL
	UnreadWhat []string  `json:"unread_what"` // at most 100 of them
	Left       *Left     `json:"left_out"`
	Ended      string    `json:"ended,omitempty"` // why before all pages were requested; empty: they were
}

// A Failure is a page with what was wrong.
type Failure struct {
	Page   string `json:"url"`
	Status int    `json:"status"` // 0: no response
	Error  string `json:"error"`
}

// maxListed is how many pages are kept of each kind.
const maxListed = 100

func newSummary() *Summary {
	return &Summary{
		Verdicts: map[Verdict]int{}, Stored: map[string]int{}, Reasons: map[string]int{}, Statuses: map[int]int{},
		Failures: []Failure{}, Odd: []Failure{}, UnreadWhat: []string{},
	}
}

func (s *Summary) add(r Result) {
	s.Pages++
	s.Verdicts[r.Verdict]++
	s.Bytes += r.Bytes
	if r.Status != 0 {
		s.Statuses[r.Status]++
	}
	switch r.Verdict {
	case Stored:
		s.Stored[r.Reason]++
	case NotStored:
		s.Reasons[r.Reason]++
	case Failed:
		s.Failed++
		s.Failures = listFailure(s.Failures, r, r.Failure())
		return
	}
	if r.Status >= 400 {
		s.Odd = listFailure(s.Odd, r, strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status))))
	}
}

func listFailure(all []Failure, r Result, what string) []Failure {
	if len(all) < maxListed {
		all = append(all, Failure{r.Page, r.Status, what})
	}
	return all
}

func (s *Summary) unread(err error) {
	s.Unread++
	if len(s.UnreadWhat) < maxListed {
		s.UnreadWhat = append(s.UnreadWhat, err.Error())
	}
}

// Err returns what makes the run fail: pages, sitemaps, an early end, or that there was
// no page.
func (s *Summary) Err() error {
	switch {
	case s.Ended != "":
		return fmt.Errorf("%s after %s; %d failed", s.Ended, pages(s.Pages), s.Failed)
	case s.Failed > 0:
		return fmt.Errorf("%d of %s failed", s.Failed, pages(s.Pages))
	case s.Unread > 0:
		return fmt.Errorf("%d lines or sitemaps could not be read", s.Unread)
	case s.Pages == 0:
		return fmt.Errorf("no page to request%s", s.Left.advice())
	}
	return nil
}

func pages(n int) string {
	if n == 1 {
		return "1 page"
	}
	return fmt.Sprintf("%d pages", n)
}

// String says what was left out, and why; empty if nothing was.
func (l *Left) String() string {
	var texts []string
	if l == nil {
		return ""
	}
	if l.Repeated > 0 {
		texts = append(texts, fmt.Sprintf("%d that were listed before", l.Repeated))
	}
	if len(l.Foreign) > 0 {
		texts = append(texts, fmt.Sprintf("pages of other hosts, which --host allows: %s", Counts(l.Foreign)))
	}
	if l.Limit > 0 {
		texts = append(texts, fmt.Sprintf("all after the first %d (--limit)", l.Limit))
	}
	return strings.Join(texts, "; ")
}

// advice says what to do if all pages were of other hosts.
func (l *Left) advice() string {
	if l == nil || len(l.Foreign) == 0 {
		return ""
	}
	return fmt.Sprintf("; all are of other hosts (%s): request those with --host, or name the site as they do and its address with --connect", Counts(l.Foreign))
}

// Counts lists counts by word, the largest first.
func Counts[K ~string](m map[K]int) string {
	words := slices.SortedFunc(maps.Keys(m), func(a, b K) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = fmt.Sprintf("%s %d", cmp.Or(string(word), "other"), m[word])
	}
	return strings.Join(texts, ", ")
}
