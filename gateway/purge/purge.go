package purge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
)

// A Purger carries out purges. Its exported fields are its options. Set them before the
// first call of a method; all methods are safe for concurrent use.
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

	// Forget is called for each key before it is purged. It may be nil.
	Forget func(key string)

	// Log gets an audit line for each purge. Nil is silent. HideQuery keeps query strings
	// out of it.
	Log       *zap.Logger
	HideQuery bool

	once    sync.Once
	limiter *rate.Limiter
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
	return &RateError{time.Duration(math.Ceil(wait.Seconds())) * time.Second}
}

// An Order is a Request with who gives it, and what the gateway knows of its pages.
type Order struct {
	*Request

	// By is who gives the order, for the log.
	By string

	// Policy is the one in force.
	Policy *policy.Policy

	// Keys are known to belong to the URL of the request.
	Keys []policy.Target
}

// Do carries an order out. The request must have passed Check. The end of ctx does not end
// it: what was changed must go whether or not anybody waits.
func (p *Purger) Do(ctx context.Context, o Order) *Result {
	began := time.Now()
	t := newTally()
	if p.Store != nil && !o.Policy.Observe {
		p.purgeKeys(context.WithoutCancel(ctx), o, t)
	}
	r := t.result(time.Since(began))
	p.audit(o, r)
	return r
}

func (p *Purger) audit(o Order, r *Result) {
	p.log().Info("purge",
		zap.String("client", o.By), zap.Strings("purged", public(o.Items(), p.HideQuery)), zap.String("mode", o.Mode()),
		zap.String("outcome", r.Status), zap.Int("found", r.Found), zap.Int("deleted", r.Deleted), zap.Duration("took", r.took))
}

func (p *Purger) log() *zap.Logger { return cmp.Or(p.Log, zap.NewNop()) }
