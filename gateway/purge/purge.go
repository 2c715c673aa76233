package purge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A Purger carries out purges. Its exported fields are its options. Set them before the
// first call of a method; all methods are safe for concurrent use.
//
// It starts goroutines only in Run, and waits for them there; and in Do, for the deletes.
type Purger struct {
	// Access says who may send PURGE requests.
	Access Access

	// Usual is the reach of a PURGE request that names none. Empty means Exact.
	Usual Reach

	// Rate is how many purges a second are carried out on average. Ten times as many may
	// come at once. Zero means no bound.
	Rate int

	// Store holds the pages. If it is nil, there are none.
	Store *cachewriter.Writer

	// Forget is called for each key before it is purged, and ForgetMatching for scopes. Both
	// may be nil.
	Forget         func(key string)
	ForgetMatching func(scopes []cachewriter.Scope)

	// Refetch fetches a page again, and reports what has become of it. ctx ends when
	// it is no longer worth it. Nil means that all purges are hard.
	Refetch func(ctx context.Context, pg *Page) Fate

	// SoftLimit is how long an old page is served after a soft purge. Zero means 1m.
	SoftLimit time.Duration

	// Concurrency is how many pages are fetched at once. Zero means 2.
	Concurrency int

	// Log gets an audit line for each purge. Nil is silent. HideQuery keeps query strings
	// out of it.
	Log       *zap.Logger
	HideQuery bool

	once    sync.Once
	limiter *rate.Limiter
	stats   stats
	queue   queue // see Run
}

// ErrForbidden says that a client may not purge, and what to set.
var ErrForbidden = errors.New("this client may not purge: start uwgate with --purge-from and the client's network, or send the --purge-token in X-Purge-Token or Authorization: Bearer")

// A RateError says that there are too many purges.
type RateError struct {
	RetryAfter time.Duration
}

func (e *RateError) Error() string {
	return fmt.Sprintf("too many purges: try again in %v, purge a prefix, a site or a tag instead of many URLs, or raise --purge-rate", e.RetryAfter)
}

// burst is how many times the rate may come at once.
const burst = 10

// Admit reports whether a purge may begin now: nil, or a *RateError.
func (p *Purger) Admit() error {
	if p.Rate <= 0 {
		return nil
	}
	p.once.Do(func() { p.limiter = rate.NewLimiter(rate.Limit(p.Rate), burst*p.Rate) })
	r := p.limiter.Reserve()
	wait := r.Delay()
	if wait == 0 {
		return nil
	}
	r.Cancel()
	p.stats.refused(RefusedRate)
	return &RateError{time.Duration(math.Ceil(wait.Seconds())) * time.Second}
}

// An Order is a Request with who gives it, and what the gateway knows of its pages.
type Order struct {
	*Request

	// Client is the address of who gives the order, and Via the way: the method of a
	// request, or ViaAPI. Both are for the log.
	Client, Via string

	// Policy is the one in force.
	Policy *policy.Policy

	// Vars are those of the PURGE request. Nil: there is none.
	Vars uwsgi.Vars

	// Groups are tags of one site each, besides those of the Request.
	Groups []cachewriter.Scope
}

// ViaAPI is the Via of an order that came by the admin API.
const ViaAPI = "api"

// items describes what is purged.
func (o Order) items() []string {
	items := o.Items()
	for _, g := range o.Groups {
		items = append(items, g.String())
	}
	return items
}

// hard is the order without fetches.
func (o Order) hard() Order {
	r := *o.Request
	r.Soft, r.Refresh = false, false
	o.Request = &r
	return o
}

// Do carries an order out. The request must have passed Check. The end of asked ends no more
// than Request.Wait: what was changed must go whether or not anybody waits.
func (p *Purger) Do(asked context.Context, o Order) *Result {
	is := p.begin(o)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(asked), maxTime)
	defer cancel()
	t := newTally()
	wait := noWait
	if p.Store != nil && !o.Policy.Observe {
		scopes := slices.Concat(p.purgeURLs(ctx, o, t), o.scopes(), o.Groups)
		wait = p.purgeScopes(ctx, o, scopes, t)
		if o.fetches() && t.isIncomplete() && len(o.URLs) > 0 {
			p.purgeURLs(ctx, o.hard(), t) // what is known is deleted in any case
			t.explain("the pages of the URLs were deleted, not fetched again, since nothing tells which pages are visited")
		}
	}
	var again fetches
	if o.Wait {
		again = wait(asked)
		p.awaitPending(asked, t)
	}
	r := t.result(time.Since(is.At))
	r.Fetched, r.Failed = again.fetched, again.failed
	p.end(o, is, r)
	return r
}

// pendingWait bounds how long a purge that waits does so for servers that could not be
// reached, and pendingPoll is how often it looks.
const (
	pendingWait = 30 * time.Second
	pendingPoll = 50 * time.Millisecond
)

// awaitPending waits until the servers that are pending are owed no purges any more, as long
// as ctx lasts.
func (p *Purger) awaitPending(ctx context.Context, t *tally) {
	ctx, cancel := context.WithTimeout(ctx, pendingWait)
	defer cancel()
	tick := time.NewTicker(pendingPoll)
	defer tick.Stop()
	for t.isPending() && ctx.Err() == nil {
		for _, s := range p.Store.Stats().Servers {
			if s.Pending.Entries+s.Pending.Purges == 0 {
				t.settle(s.Addr)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// maxTime bounds one purge. What is not done by then is pending.
const maxTime = time.Minute

func (p *Purger) audit(o Order, r *Result) {
	p.log().Info("purge",
		zap.String("client", o.Client), zap.Strings("purged", public(o.items(), p.HideQuery)), zap.String("via", o.Via), zap.String("mode", o.Mode()),
		zap.String("outcome", r.Status), zap.Int("found", r.Found), zap.Int("deleted", r.Deleted), zap.Int("kept", r.Kept), zap.Duration("took", r.took))
}

func (p *Purger) log() *zap.Logger { return cmp.Or(p.Log, zap.NewNop()) }
