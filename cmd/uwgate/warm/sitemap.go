package warm

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Sitemaps read sitemaps as sitemaps.org describes them: XML or one URL a line, with
// gzip or without, and indexes of them. A robots.txt is an index, too. The zero value
// with an Open is good.
type Sitemaps struct {
	// Open opens a sitemap, by its URL or the name of its file. It may take its time
	// to fetch it; the reader is read slowly.
	Open func(ctx context.Context, location string) (io.ReadCloser, error)

	// Hosts decides of which hosts sitemaps are fetched. Nil means all.
	Hosts *Hosts

	MaxDepth int   // of indexes in indexes; 0: 3
	MaxFiles int   // 0: 10,000
	MaxBytes int64 // of one sitemap, uncompressed; 0: 128 MiB, where the protocol permits 50
}

func (s *Sitemaps) maxDepth() int   { return int(positive(int64(s.MaxDepth), 3)) }
func (s *Sitemaps) maxFiles() int   { return int(positive(int64(s.MaxFiles), 10_000)) }
func (s *Sitemaps) maxBytes() int64 { return positive(s.MaxBytes, 128<<20) }

func positive(option, otherwise int64) int64 {
	if option > 0 {
		return option
	}
	return otherwise
}

// Pages returns the URLs that the sitemaps at these locations list. A sitemap that cannot
// be read is an error among them, and the others are read.
func (s *Sitemaps) Pages(ctx context.Context, locations ...string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		w := &walk{Sitemaps: s, ctx: ctx, yield: yield, seen: map[string]bool{}}
		for _, location := range locations {
			if !w.read(location, 0) {
				return
			}
		}
	}
}

// A walk reads sitemaps that name others.
type walk struct {
	*Sitemaps
	ctx   context.Context
	yield func(string, error) bool
	seen  map[string]bool
	full  bool // MaxFiles has been reported
}

// read reads the sitemap at location. It returns false if the caller wants no more.
func (w *walk) read(location string, depth int) (more bool) {
	if w.seen[location] || w.full {
		return true
	}
	if len(w.seen) >= w.maxFiles() {
		w.full = true
		return w.fail(location, fmt.Errorf("there are more than %d sitemaps; the others are not read", w.maxFiles()))
	}
	w.seen[location] = true
	if depth > w.maxDepth() {
		return w.fail(location, fmt.Errorf("it is in an index in an index, %d deep; name it on the command line", depth))
	}
	if IsURL(location) && !w.Hosts.Allows(HostOf(location)) {
		return w.fail(location, fmt.Errorf("it is on another host; allow that with --host %s", HostOf(location)))
	}
	r, err := w.Open(w.ctx, location)
	if err != nil {
		return w.fail(location, err)
	}
	defer r.Close()
	more = true
	err = parse(r, w.maxBytes(), func(isIndex bool, loc string) bool {
		if isIndex {
			more = w.readListed(loc, location, depth+1)
		} else {
			more = w.yield(loc, nil)
		}
		return more && w.ctx.Err() == nil
	})
	if err != nil && more {
		return w.fail(location, err)
	}
	return more
}

// readListed reads a sitemap that an index names. A sitemap of the network may not name
// files of this machine.
func (w *walk) readListed(loc, index string, depth int) (more bool) {
	location, err := Normalize("", loc)
	if err != nil {
		return w.fail(index, fmt.Errorf("an index names sitemaps by their URLs, not %.100q", loc))
	}
	return w.read(location, depth)
}

func (w *walk) fail(location string, err error) (more bool) {
	return w.ctx.Err() == nil && w.yield("", fmt.Errorf("sitemap %s: %w", location, err))
}

// IsURL reports whether the location of a sitemap is a URL and not the name of a file.
func IsURL(location string) bool {
	scheme, _, found := strings.Cut(location, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}
