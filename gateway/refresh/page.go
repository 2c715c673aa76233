package refresh

import (
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A Page is what was needed to make a stored page, so that it can be made again. It is not
// changed after it was passed to Add.
type Page struct {
	Entry  cachewriter.Entry // Key, HashKey and Addr of the page; no body
	Policy *policy.Policy    // by which it was stored
	Vars   uwsgi.Vars        // of a request for the page; nil: only a visitor can ask for it
	Plan   policy.Plan       // of that request if it filled the page; zero: it is an anonymous one
	Took   time.Duration     // from the request to the last byte of the response
	Soft   time.Time         // when the page is no longer fresh
	Hard   time.Time         // when memcached drops it; not before Soft
}

// grace is how long the page is served after its time.
func (f *Page) grace() time.Duration { return f.Hard.Sub(f.Soft) }

// size is roughly the memory of the Page, in bytes.
func (f *Page) size() int64 {
	const page, each = 512, 32 // the structs; two strings without their bytes
	n := page + len(f.Entry.Key) + len(f.Entry.HashKey) + len(f.Entry.Addr) + each*len(f.Vars)
	for i := range f.Vars {
		n += len(f.Vars[i].Name) + len(f.Vars[i].Value)
	}
	return int64(n)
}

// An Outcome is what became of a page that was fetched again.
type Outcome int

const (
	Stored     Outcome = iota // it has been handed to the store and passed to Add
	Withdrawn                 // it has become private, or a 404, …
	Unstorable                // nobody can ask for it, or it forbids to be stored
	Failed                    // the backend gave no response that says anything about the page
)
