package purge

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"uwgate/cachewriter"
)

// purgeScopes deletes the pages that match, on all servers, or leaves them to be fetched
// again. wait waits for these.
func (p *Purger) purgeScopes(ctx context.Context, o Order, scopes []cachewriter.Scope, t *tally) (wait func(context.Context) fetches) {
	if len(scopes) == 0 {
		return noWait
	}
	if p.ForgetMatching != nil && !o.DryRun {
		p.ForgetMatching(scopes)
	}
	order := cachewriter.Purge{Scopes: scopes, DryRun: o.DryRun}
	k := &keeper{o: o, began: time.Now()}
	if o.fetches() && p.queue.accepts() {
		order.Keep, order.KeepCopies = k.keep, o.Soft
	}
	for _, r := range p.Store.PurgeMatching(ctx, order) {
		t.add(r.Server, func(s *Server) { s.take(r) })
	}
	if len(k.pages) == 0 || o.DryRun {
		return noWait
	}
	return p.fetchAgain(ctx, k)
}

func noWait(context.Context) fetches { return fetches{} }

// take adds what has become of a server.
func (s *Server) take(r cachewriter.PurgeResult) {
	s.Found += r.Found
	s.Deleted += r.Deleted
	s.Kept += r.Kept
	if r.Incomplete != "" {
		s.Incomplete = forPeople(r.Incomplete)
	}
	s.fail(r.Err, r.Pending)
}

// fail notes an error. isPending says that the server is purged as soon as it can be reached.
func (s *Server) fail(err error, isPending bool) {
	switch {
	case err == nil:
	case errors.Is(err, cachewriter.ErrClosed):
		s.Incomplete = "this gateway is being stopped, and has not purged it: purge again"
	case isPending:
		s.Pending, s.Error = true, forPeople(err.Error())
	default:
		s.Error = forPeople(err.Error())
		s.Incomplete = cmp.Or(s.Incomplete, s.Error)
	}
}

// forPeople leaves the name of the package out of an error.
func forPeople(text string) string { return strings.TrimPrefix(text, "cachewriter: ") }
