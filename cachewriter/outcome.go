package cachewriter

import (
	"cmp"
	"errors"
	"sync"
)

// An outcome collects the outcomes of one entry on its servers, for Entry.Done. A nil
// outcome collects nothing.
type outcome struct {
	done func(error)

	mu     sync.Mutex // guards everything below
	left   int        // results that are missing, and one more until putAt calls end
	stored bool       // on one of the servers
	purged bool
	err    error // the first other error
}

func newOutcome(done func(error)) *outcome {
	if done == nil {
		return nil
	}
	return &outcome{done: done, left: 1}
}

// forServer expects the result of one more server and returns the function that takes
// it; nil if there is no Done.
func (o *outcome) forServer() func(error) {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left++
	return o.add
}

// add takes the result of a server.
func (o *outcome) add(err error) {
	if o == nil {
		return
	}
	o.mu.Lock()
	switch {
	case err == nil:
		o.stored = true
	case errors.Is(err, ErrPurged):
		o.purged = true
	default:
		o.err = cmp.Or(o.err, err)
	}
	o.mu.Unlock()
	o.end()
}

// end counts one result down and calls Done after the last one. putAt calls it, too,
// when all servers have been asked and at least one has accepted the entry. So Done
// is not called before Put knows that it will return nil.
func (o *outcome) end() {
	if o == nil {
		return
	}
	o.mu.Lock()
	o.left--
	last, result := o.left == 0, o.result()
	o.mu.Unlock()
	if last {
		o.done(result)
	}
}

// result is that of all servers together. A purge that one of them knows of holds for
// the page.
func (o *outcome) result() error {
	switch {
	case o.purged:
		return ErrPurged
	case o.stored:
		return nil
	}
	return o.err
}
