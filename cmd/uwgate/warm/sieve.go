package warm

import (
	"hash/maphash"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"uwgate/gateway/backend"
)

// A Sieve lets a source's URLs pass that are to be requested, each once. It is for one
// run.
type Sieve struct {
	// Site is that of paths, as in "https://www.example.com". Empty: paths are errors.
	Site string

	// Hosts decides which hosts' pages pass. Nil means all.
	Hosts *Hosts

	// Limit is the most pages that pass. Zero means no limit.
	Limit int

	mu   sync.Mutex // guards left
	left Left
}

// Left returns what has not passed so far.
func (s *Sieve) Left() Left {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.left
	left.Foreign = map[string]int{}
	maps.Copy(left.Foreign, s.left.Foreign)
	return left
}

// Left says which URLs of a source were left out.
type Left struct {
	Repeated int            `json:"repeated"`    // that were there before
	Foreign  map[string]int `json:"other_hosts"` // by host; those of more than 20 hosts under the empty name
	Limit    int            `json:"limit"`       // at which the source was not read further; 0: it was read to its end
}

// maxForeign is how many other hosts are counted by name.
const maxForeign = 20

func (l *Left) foreign(host string) {
	if l.Foreign == nil {
		l.Foreign = map[string]int{}
	}
	if _, known := l.Foreign[host]; !known && len(l.Foreign) >= maxForeign {
		host = ""
	}
	l.Foreign[host]++
}

// Sift returns the normalized URLs that pass. Errors pass, and what is no URL is one.
func (s *Sieve) Sift(source iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := seen{seed: maphash.MakeSeed(), sums: map[uint64]struct{}{}}
		for raw, err := range source {
			page := ""
			if err == nil {
				page, err = Normalize(s.Site, raw)
			}
			passes, isFull := err != nil, false
			if err == nil {
				passes, isFull = s.passes(page, &seen)
			}
			if isFull || passes && !yield(page, err) {
				return
			}
		}
	}
}

// passes reports whether a page is to be requested, and whether it and all others are too
// many.
func (s *Sieve) passes(page string, seen *seen) (passes, isFull bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.Hosts.Allows(HostOf(page)):
		s.left.foreign(HostOf(page))
	case seen.has(page):
		s.left.Repeated++
	case s.Limit > 0 && len(seen.sums) == s.Limit:
		s.left.Limit = s.Limit
		return false, true
	default:
		seen.add(page)
		return true, false
	}
	return false, false
}

// seen are the pages that have passed, by their hashes.
type seen struct {
	seed maphash.Seed
	sums map[uint64]struct{}
}

func (s *seen) add(page string) { s.sums[maphash.String(s.seed, page)] = struct{}{} }

func (s *seen) has(page string) bool {
	_, ok := s.sums[maphash.String(s.seed, page)]
	return ok
}

// Hosts are the hosts that may be asked. The zero value allows the first that it sees:
// that of a sitemap's first page. It is not safe for concurrent use.
type Hosts struct {
	Globs []string // as in "*.example.com"; with a port, or for any port without one
}

// Allows reports whether a host, with or without a port, may be asked. A nil Hosts allows
// all.
func (h *Hosts) Allows(host string) bool {
	switch {
	case h == nil:
		return true
	case len(h.Globs) == 0:
		h.Globs = []string{host}
	}
	name := backend.WithoutPort(host)
	return slices.ContainsFunc(h.Globs, func(glob string) bool {
		glob = strings.ToLower(glob)
		whole, _ := path.Match(glob, host)
		bare, _ := path.Match(glob, name)
		return whole || bare
	})
}
