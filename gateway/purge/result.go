package purge

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Statuses of a Result.
const (
	Done       = "done"       // no page that matches is left
	Pending    = "pending"    // a server cannot be reached; it is purged when it is back
	Incomplete = "incomplete" // a server cannot tell which pages it has
)

// A Result is what has become of a purge. Its JSON form is that of the admin API, and of the
// response to PURGE.
type Result struct {
	Status  string   `json:"status"`
	Found   int      `json:"found"`             // pages that match
	Deleted int      `json:"deleted"`           // of them
	Kept    int      `json:"kept,omitempty"`    // of them; they are served until they have been fetched again
	Fetched int      `json:"fetched,omitempty"` // pages that have been fetched again, if the request waits for that
	Failed  int      `json:"failed,omitempty"`  // pages that could not be fetched again, and were deleted
	Servers []Server `json:"servers"`
	Took    float64  `json:"took"` // seconds

	took time.Duration
}

// A Server is what has become of a purge on one memcached server.
type Server struct {
	Server     string `json:"server"`
	Found      int    `json:"found"`
	Deleted    int    `json:"deleted"`
	Kept       int    `json:"kept,omitempty"`
	Pending    bool   `json:"pending,omitempty"`
	Incomplete string `json:"incomplete,omitempty"` // what could not be done
	Error      string `json:"error,omitempty"`
}

// A tally adds up what has become of a purge, by server. It is safe for concurrent use.
type tally struct {
	mu      sync.Mutex // guards servers
	servers map[string]*Server
}

func newTally() *tally { return &tally{servers: make(map[string]*Server)} }

// add changes the line of a server.
func (t *tally) add(server string, change func(s *Server)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.servers[server]
	if s == nil {
		s = &Server{Server: server}
		t.servers[server] = s
	}
	change(s)
}

// isIncomplete reports whether a server cannot list its pages.
func (t *tally) isIncomplete() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.servers {
		if s.Incomplete != "" {
			return true
		}
	}
	return false
}

func (t *tally) isPending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.servers {
		if s.Pending {
			return true
		}
	}
	return false
}

// settle notes that a server is not pending any more, if it was.
func (t *tally) settle(server string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.servers[server]; s != nil && s.Pending {
		s.Pending, s.Error = false, ""
	}
}

// explain adds to what is said of the servers that cannot list their pages.
func (t *tally) explain(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.servers {
		if s.Incomplete != "" {
			s.Incomplete += "; " + what
		}
	}
}

// result is the sum. Servers are in the order of their names.
func (t *tally) result(took time.Duration) *Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &Result{Status: Done, Servers: []Server{}, Took: took.Seconds(), took: took}
	for _, name := range slices.Sorted(maps.Keys(t.servers)) {
		s := *t.servers[name]
		r.Servers = append(r.Servers, s)
		r.Found += s.Found
		r.Deleted += s.Deleted
		r.Kept += s.Kept
		switch {
		case s.Pending:
			r.Status = Pending
		case s.Incomplete != "" && r.Status == Done:
			r.Status = Incomplete
		}
	}
	return r
}

// public returns items as they may be logged.
func public(items []string, hideQuery bool) []string {
	const most = 20
	out := make([]string, 0, min(len(items), most+1))
	for i, item := range items {
		if i == most {
			return append(out, "…")
		}
		if hideQuery {
			item, _, _ = strings.Cut(item, "?")
		}
		out = append(out, item)
	}
	return out
}
