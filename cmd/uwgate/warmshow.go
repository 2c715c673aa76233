package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"uwgate/cmd/uwgate/settings"
	"uwgate/cmd/uwgate/warm"
)

// A warmShow shows how far a warming is: with a bar on a terminal, else with a line now and
// then. It prints the pages that failed, or all of them.
type warmShow struct {
	out, errs     io.Writer
	json, verbose bool
	bar           *progressbar.ProgressBar // nil: no terminal

	mu           sync.Mutex // guards what follows
	pages, total int        // total is 0 until the source has ended
	failed       int
	said         time.Time
	printed      bool // a line for a page
	warned       bool
}

// sayInterval is the time between two lines without a terminal.
const sayInterval = 10 * time.Second

func newWarmShow(out, errs io.Writer, cmd settings.Command) *warmShow {
	w := &warmShow{out: out, errs: errs, json: cmd.JSON, verbose: cmd.Verbose, said: time.Now()}
	if f, ok := errs.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		w.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(errs), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("pages"), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	return w
}

// each shows a result.
func (w *warmShow) each(r warm.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages++
	if r.Verdict == warm.Failed {
		w.failed++
	}
	if w.verbose || r.Verdict == warm.Failed && !w.json {
		w.print(r)
	}
	switch {
	case w.bar != nil:
		w.bar.Add(1)
	case time.Since(w.said) >= sayInterval:
		w.said = time.Now()
		fmt.Fprintf(w.errs, "warm: %s, %d failed\n", w.far(), w.failed)
	}
}

// warnOnce prints the first of several warnings.
func (w *warmShow) warnOnce(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.warned {
		return
	}
	w.warned = true
	if w.bar != nil {
		w.bar.Clear()
	}
	fmt.Fprintln(w.errs, text)
}

// far says how far the pages are.
func (w *warmShow) far() string {
	if w.total == 0 {
		return countOf(w.pages, "page")
	}
	return fmt.Sprintf("%d of %s", w.pages, countOf(w.total, "page"))
}

// known learns how many pages there are.
func (w *warmShow) known(total int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total = total
	if w.bar != nil {
		w.bar.ChangeMax(total)
	}
}

// A warmLine is the JSON form of a result. Names stay.
type warmLine struct {
	URL     string       `json:"url"`
	Status  int          `json:"status"`
	Verdict warm.Verdict `json:"verdict"`
	Reason  string       `json:"reason"`
	Bytes   int64        `json:"bytes"`
	Seconds float64      `json:"seconds"`
	Error   string       `json:"error,omitempty"`
}

// print prints a result. The bar, which is on the same terminal, gets out of the way.
func (w *warmShow) print(r warm.Result) {
	if w.bar != nil {
		w.bar.Clear()
	}
	if w.json {
		writeJSON(w.out, warmLine{r.Page, r.Status, r.Verdict, r.Reason, r.Bytes, r.Took.Seconds(), r.Failure()})
		return
	}
	w.printed = true
	said := r.Reason
	if failure := r.Failure(); failure != "" {
		said = failure
	}
	fmt.Fprintln(w.out, strings.Join(slices.DeleteFunc([]string{string(r.Verdict), r.Page, printable(said)}, func(s string) bool { return s == "" }), "  "))
}

// end prints the summary.
func (w *warmShow) end(s *warm.Summary) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bar != nil {
		w.bar.Clear()
	}
	if w.json {
		return writeJSON(w.out, s)
	}
	if w.printed {
		fmt.Fprintln(w.out)
	}
	_, err := io.WriteString(w.out, warmSummary(s))
	return err
}

// warmSummary is the summary for people.
func warmSummary(s *warm.Summary) string {
	var t sheet
	t.section("Warmed", len("not through uwgate"))
	t.row("pages", fmt.Sprintf("%d in %s, %s", s.Pages, time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond), byteCount(s.Bytes)))
	for _, v := range []warm.Verdict{warm.Hit, warm.Stored, warm.NotStored, warm.Passed, warm.Failed} {
		if n := s.Verdicts[v]; n > 0 {
			t.row(string(v), fmt.Sprint(n)+reasonsOf(s, v))
		}
	}
	if n := s.Statuses[200]; n != s.Pages && len(s.Statuses) > 0 {
		t.row("status", statusesOf(s.Statuses))
	}
	for i, f := range s.Odd {
		if i == maxOdd {
			t.row("", "… (--json lists more)")
			break
		}
		t.value(onlyFirst(i, "4xx"), fmt.Sprintf("%d %s", f.Status, f.Page))
	}
	for i, text := range s.UnreadWhat {
		t.row(onlyFirst(i, "not read"), printable(text))
	}
	if text := s.Left.String(); text != "" {
		t.row("left out", text)
	}
	if s.Yields > 0 {
		t.row("yielded", fmt.Sprintf("%s, because responses got slow or were refused, or visitors waited", times(s.Yields)))
	}
	return t.String()
}

// maxOdd is how many pages with such a status the summary shows.
const maxOdd = 10

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func reasonsOf(s *warm.Summary, v warm.Verdict) string {
	reasons := map[warm.Verdict]map[string]int{warm.Stored: s.Stored, warm.NotStored: s.Reasons}[v]
	if len(reasons) == 0 {
		return ""
	}
	return ": " + warm.Counts(reasons)
}

func statusesOf(statuses map[int]int) string {
	var texts []string
	for _, code := range slices.Sorted(maps.Keys(statuses)) {
		texts = append(texts, fmt.Sprintf("%d %s", code, countOf(statuses[code], "time")))
	}
	return strings.Join(texts, ", ")
}

// byteCount is a number of bytes for people.
func byteCount(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
