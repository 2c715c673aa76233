package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bits of the client flags under which a Writer stores pages. nginx ignores them: it
// looks at the bit of memcached_gzip_flag only.
const (
	// FlagStored marks every page that a Writer has stored. Values without it belong to
	// others, and no walk deletes them.
	FlagStored uint32 = 1 << 29

	// FlagTagged marks a page with tags. If its record is gone, every tag may be one of
	// them.
	FlagTagged uint32 = 1 << 28

	// FlagRecorded marks a page whose host and URI are in its record (Entry.Recorded).
	// If the record is gone, the page may be any page.
	FlagRecorded uint32 = 1 << 27

	// ReservedFlags are the bits that memcached_gzip_flag must not have.
	ReservedFlags = FlagStored | FlagTagged | FlagRecorded
)

// A Found is a page that a walk has found on a server.
type Found struct {
	Key      string  // raw
	Subject  Subject // what is known
	Known    bool    // Host, URI and tags of Subject are complete
	Fetched  bool    // somebody has read it since it was stored
	Accessed time.Time
	Expires  time.Time // zero: never
	Size     int64     // of the value, in bytes
	Server   string    // address
}

// A Purge says what PurgeMatching deletes: the pages that match at least one scope.
type Purge struct {
	Scopes []Scope

	// Keep decides which of the pages that match stay in memcached, because the caller
	// replaces or deletes them itself (soft purge). Nil means that all are deleted. The
	// walks of several servers call it at the same time. It must be quick. It is not
	// called for pages that are still being written, and not after PurgeMatching has
	// returned.
	Keep func(Found) bool

	// KeepCopies leaves the last good copies of pages that Keep keeps, and of those that
	// have expired: they are served while the backend fails.
	KeepCopies bool

	// DryRun means that nothing is deleted. Keep is called.
	DryRun bool
}

// A PurgeResult is the outcome of a purge on one server.
type PurgeResult struct {
	Server  string // address
	Found   int    // pages that match
	Deleted int    // of these; 0 in a dry run
	Kept    int    // of these; Keep has returned true

	// Pending means that the server could not be reached, or has not finished. It is
	// purged as soon as possible, without another call. Err says why.
	Pending bool

	// Incomplete says what could not be done on this server, and why; "" if all was
	// done. A proxy and an old memcached cannot list their pages.
	Incomplete string

	// Err is why the server is Pending. Without that, nothing has been done, and nothing
	// will: it is ErrClosed, or the server could not be reached for a dry run.
	Err  error
	Took time.Duration
}

// PurgeMatching deletes all pages that match a scope, from all servers, and no page of
// others. It lists the pages of each server, so it finds those of other gateways and of
// earlier processes, too. A page that was requested before the call is not stored after
// it, by any Writer.
//
// It returns one result for each server of the ring that is not marked down, in the
// order of the ring. It returns when all servers are done, or when ctx is; what is not
// done by then is pending. Calls that come while a server is being walked share the next
// walk.
func (w *Writer) PurgeMatching(ctx context.Context, p Purge) []PurgeResult {
	t, at := w.servers(), w.clock()
	if !p.DryRun {
		w.wide.note(p.Scopes, at)
	}
	jobs := make([]*purgeJob, len(t.ring.live))
	for i, addr := range t.ring.live {
		jobs[i] = &purgeJob{
			scopes: p.Scopes, dry: p.DryRun, at: at, keep: p.Keep, keepCopies: p.KeepCopies,
			result: PurgeResult{Server: addr}, done: make(chan struct{}),
		}
		if !p.DryRun {
			t.stores[addr].dropPurged()
		}
		t.stores[addr].purgeMatching(jobs[i])
	}
	results := make([]PurgeResult, len(jobs))
	for i, j := range jobs {
		results[i] = j.wait(ctx, w.clock)
	}
	return results
}

// Walk calls visit for every page that a Writer has stored, on all servers, one after the
// other, until visit returns false, ctx is done or all servers are done. It changes
// nothing. A page that lies on several servers is visited several times. Errors of several
// servers are joined.
func (w *Writer) Walk(ctx context.Context, visit func(Found) bool) error {
	t := w.servers()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var errs []error
	for _, addr := range t.ring.live {
		if ctx.Err() != nil {
			break
		}
		err := t.stores[addr].walk(ctx, &walker{pagesOnly: true, visit: func(p *walked) bool {
			if ctx.Err() == nil && !visit(p.Found) {
				stop(errStopped)
			}
			return false
		}})
		if err != nil {
			errs = append(errs, fmt.Errorf("cachewriter: walk on %s: %w", addr, err))
		}
	}
	switch {
	case context.Cause(ctx) == errStopped:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// errStopped ends a walk whose visitor has seen enough.
var errStopped = errors.New("stopped")
