package cachewriter

import (
	"cmp"
	"errors"
	"sync"
)

// An outcome gathers what became of one entry on each of its servers, for Entry.Done. Nil
// gathers nothing.
type outcome struct {
	done func(error)

	mu     sync.Mutex // guards everything below
	left   int        // results that are not in, and one more until end is called
	stored bool       // on one of them
	purged bool
	err    error // the first other one
}

func newOutcome(done func(error)) *outcome {
	if done == nil {
		return nil
	}
	return &outcome{done: done, left: 1}
}

// of returns what takes the result of one more server; nil if nobody asks.
func (o *outcome) of() func(error) {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left++
	return o.add
}

// add takes the result of a server. After the last one Done is called.
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

// end takes one off what is waited for. It is called once more than there are servers:
// when all have been asked to take the entry, and one has.
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

// result is that of all servers. A purge that one of them knows of holds for the page.
func (o *outcome) result() error {
	switch {
	case o.purged:
		return ErrPurged
	case o.stored:
		return nil
	}
	return o.err
}
