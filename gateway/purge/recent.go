package purge

import (
	"slices"
	"strings"
	"time"
)

// A Purged is a purge that has ended, or is under way.
type Purged struct {
	At      time.Time `json:"at"`               // when it began
	Client  string    `json:"client,omitempty"` // who wanted it; "": somebody at a UNIX socket
	Via     string    `json:"via"`
	Purged  []string  `json:"purged"` // the first of its items, as in the log
	Mode    string    `json:"mode"`
	Outcome string    `json:"outcome"` // a Status of a Result; "": it is under way
	Found   int       `json:"found"`
	Deleted int       `json:"deleted"`
	Took    float64   `json:"took"` // seconds; so far, if it is under way
}

// maxRecent is how many purges that have ended are remembered.
const maxRecent = 10

// Recent returns the purges that are under way, and the last ones that have ended, the
// latest first.
func (p *Purger) Recent() []Purged {
	s := &p.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Purged, 0, len(s.running)+len(s.recent))
	for _, r := range slices.Backward(s.running) {
		now := *r
		now.Took = time.Since(r.At).Seconds()
		all = append(all, now)
	}
	return append(all, s.recent...)
}

// begin notes a purge that begins, until end is called.
func (p *Purger) begin(o Order) *Purged {
	r := &Purged{At: time.Now(), Client: o.Client, Via: o.Via, Purged: shortened(public(o.items(), p.HideQuery)), Mode: o.Mode()}
	s := &p.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = append(s.running, r)
	return r
}

// maxItem bounds an item that is remembered, in bytes.
const maxItem = 200

func shortened(items []string) []string {
	for i, item := range items {
		if len(item) > maxItem {
			items[i] = strings.ToValidUTF8(item[:maxItem], "") + "…"
		}
	}
	return items
}

// end counts and logs a purge that has ended.
func (p *Purger) end(o Order, is *Purged, r *Result) {
	p.stats.end(o, is, r)
	p.audit(o, r)
}

func (s *stats) end(o Order, is *Purged, r *Result) {
	s.add(o, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = slices.DeleteFunc(s.running, func(other *Purged) bool { return other == is })
	is.Outcome, is.Found, is.Deleted, is.Took = r.Status, r.Found, r.Deleted, r.Took
	s.recent = append([]Purged{*is}, s.recent[:min(len(s.recent), maxRecent-1)]...)
}
