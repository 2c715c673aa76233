package deploy

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A Page is a page that is stored.
type Page struct {
	URL    string
	Key    string // raw
	Server string // memcached that holds it

	Received uwsgi.Vars // of the request for it, as nginx sends them
	Vars     uwsgi.Vars // of the same request, as a worker gets them
}

// A Check compares what new workers respond with what is stored. Its fields are set before
// Run.
type Check struct {
	// Workers are the new ones; at least one. Each gets every so many'th page, and one at
	// least.
	Workers []*Worker

	// Current returns the workers that serve a page now, nil if they are not known. It may
	// be nil.
	Current func(p Page) *Worker

	// Stored returns what nginx serves for a page, nil if it is not stored any more. It is
	// safe for concurrent use.
	Stored func(ctx context.Context, p Page) (*Response, error)

	// Judge returns why a response would not be stored, empty if it would be. It may be
	// nil. It is safe for concurrent use.
	Judge func(p Page, r *Response) string

	Mask        *Mask // must be set
	Concurrency int   // pages that are compared at once; 0: 2

	// Each is called with every result, one at a time. It may be nil.
	Each func(Result)
}

// An Outcome is how a page of new workers compares with what is stored.
type Outcome string

const (
	Same     Outcome = "same"
	Outdated Outcome = "outdated" // it differs, but the workers that serve now respond the same
	Assets   Outcome = "assets"   // it differs in names of static files alone
	Changed  Outcome = "changed"
	Failing  Outcome = "failing" // no whole response, or an error where a page is stored
	Gone     Outcome = "gone"    // it is not stored any more, and so was not compared
)

// A Result is about one page. Its JSON form is read by scripts: names stay.
type Result struct {
	URL      string   `json:"url"`
	Worker   string   `json:"worker"`
	Outcome  Outcome  `json:"outcome"`
	What     string   `json:"what,omitempty"`       // what is wrong or other, in words
	Diff     []string `json:"diff,omitempty"`       // the first lines that differ, with "-" stored and "+" new
	Unstored string   `json:"not_stored,omitempty"` // why the new page would not be stored
}

// Run compares the pages, and returns when all are done or ctx is. A page that was not
// compared then is in no result. Results have the order of the pages.
func (c *Check) Run(ctx context.Context, pages []Page) *Summary {
	var mu sync.Mutex // guards results
	results := make([]*Result, max(len(pages), len(c.Workers)))
	group := errgroup.Group{}
	group.SetLimit(cmp.Or(c.Concurrency, 2))
	for i := range results {
		if len(pages) == 0 || ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			r := c.look(ctx, pages[i%len(pages)], c.Workers[i%len(c.Workers)])
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() != nil {
				return nil // nobody knows how it would have ended
			}
			if results[i] = &r; c.Each != nil {
				c.Each(r)
			}
			return nil
		})
	}
	group.Wait()
	results = slices.DeleteFunc(results, func(r *Result) bool { return r == nil })
	return summarize(results, ctx.Err() != nil)
}

// look compares one page.
func (c *Check) look(ctx context.Context, p Page, w *Worker) Result {
	r := Result{URL: p.URL, Worker: w.Name}
	stored, err := c.Stored(ctx, p)
	switch {
	case err != nil:
		return r.is(Gone, "cannot be read: %v", err)
	case stored == nil:
		return r.is(Gone, "")
	}
	fresh, err := w.Fetch(ctx, p.Vars)
	if err != nil {
		return r.is(Failing, "%v", err)
	}
	if c.Judge != nil {
		r.Unstored = c.Judge(p, fresh)
	}
	if o, what := compareHeads(fresh.Head, stored.Head); o != Same {
		return r.is(o, "%s", what)
	}
	switch {
	case bytes.Equal(fresh.Body, stored.Body):
		return r.is(Same, "")
	case bytes.IndexByte(fresh.Body, 0) >= 0 || bytes.IndexByte(stored.Body, 0) >= 0:
		return r.is(Changed, "%d bytes, %d are stored", len(fresh.Body), len(stored.Body))
	}
	return c.compare(ctx, r, p, w, stored, fresh)
}

// compareHeads compares the lines of two heads that matter.
func compareHeads(got, want *uwsgi.Response) (o Outcome, what string) {
	gotType, wantType := got.Header.Get("Content-Type"), want.Header.Get("Content-Type")
	to, was := got.Header.Get("Location"), want.Header.Get("Location")
	o, what = Changed, fmt.Sprintf("status %s, %d is stored", statusText(got), want.StatusCode)
	switch {
	case got.StatusCode != want.StatusCode && got.StatusCode >= 400:
		o = Failing
	case got.StatusCode != want.StatusCode:
	case to != was && want.StatusCode/100 == 3:
		what = fmt.Sprintf("Location: %s, %s is stored", to, was)
	case !policy.SameType(gotType, wantType):
		what = fmt.Sprintf("Content-Type: %s, %s is stored", gotType, wantType)
	default:
		return Same, ""
	}
	return o, what
}

// compare compares two texts that are not the same bytes.
func (c *Check) compare(ctx context.Context, r Result, p Page, w *Worker, stored, fresh *Response) Result {
	old, first := c.view(stored), c.view(fresh)
	if slices.Equal(old.plain, first.plain) {
		return r.is(Same, "")
	}
	again, err := w.Fetch(ctx, p.Vars)
	if err != nil || again.Head.StatusCode != fresh.Head.StatusCode {
		return r.is(Failing, "the second of two requests failed: %s", whatFailed(again, err))
	}
	second := c.view(again)
	plain, coarse := shapeOf(first.plain, second.plain), shapeOf(first.coarse, second.coarse)
	switch now := c.now(ctx, p); {
	case plain.holds(old.plain):
		return r.is(Same, "")
	case coarse.holds(old.coarse):
		return r.is(Assets, "")
	case now != nil && plain.holds(now.plain):
		return r.is(Outdated, "")
	case now != nil && coarse.holds(now.coarse):
		return r.is(Assets, "")
	}
	if coarse.vague {
		return r.is(Changed, "it cannot be compared: most of it differs between two requests; see --ignore")
	}
	r.Diff = difference(old.coarse, first.coarse, coarse.noise)
	return r.is(Changed, "")
}

// A view is a body as it is compared.
type view struct {
	plain  []string // without what the Mask hides
	coarse []string // and without versions of static files
}

func (c *Check) view(r *Response) *view {
	text := c.Mask.Hide(string(r.Body))
	return &view{pieces(text), pieces(c.Mask.HideAssets(text))}
}

// now returns what the workers respond that serve the site now, nil if that is not known.
func (c *Check) now(ctx context.Context, p Page) *view {
	if c.Current == nil {
		return nil
	}
	w := c.Current(p)
	if w == nil {
		return nil
	}
	r, err := w.Fetch(ctx, p.Vars)
	if err != nil || r.Head.StatusCode >= 400 {
		return nil
	}
	return c.view(r)
}

// holds reports whether a page has the shape, and whether that means anything.
func (s *shape) holds(page []string) bool { return !s.vague && s.fits(page) }

func (r Result) is(o Outcome, what string, args ...any) Result {
	r.Outcome, r.What = o, fmt.Sprintf(what, args...)
	if o == Failing {
		r.Unstored = "" // it says no more
	}
	return r
}

func whatFailed(r *Response, err error) string {
	if err != nil {
		return err.Error()
	}
	return "status " + statusText(r.Head)
}

func statusText(r *uwsgi.Response) string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", r.StatusCode, http.StatusText(r.StatusCode)))
	if to := r.Header.Get("Location"); to != "" {
		text += " to " + to
	}
	return text
}
