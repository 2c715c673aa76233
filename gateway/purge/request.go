package purge

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
)

// A Request says what to purge, and how. Its JSON form is that of the admin API.
type Request struct {
	// URLs are pages, as in http://www.example.com/news/?page=2. The scheme and the port do
	// not matter: the page is purged under all of them.
	URLs []string `json:"urls,omitempty"`

	// Paths are URLs without query: the pages with this path and any query are purged.
	Paths []string `json:"paths,omitempty"`

	// Prefixes are beginnings of URLs, as in http://www.example.com/news/.
	Prefixes []string `json:"prefixes,omitempty"`

	// Sites are hosts, as in www.example.com: all pages of theirs are purged.
	Sites []string `json:"sites,omitempty"`

	// Tags are those that responses or rules have given to pages. Pages of all sites that
	// have one of them are purged.
	Tags []string `json:"tags,omitempty"`

	// All purges all pages that uwgate has stored, and no other keys of memcached.
	All bool `json:"all,omitempty"`

	// Soft leaves pages that are being visited in place while they are fetched again.
	Soft bool `json:"soft,omitempty"`

	// Refresh fetches the pages that were visited again after they were deleted.
	Refresh bool `json:"refresh,omitempty"`

	// DryRun finds the pages and deletes none.
	DryRun bool `json:"dry_run,omitempty"`

	// Wait waits until all pages have been fetched again, and 30 seconds at most until servers
	// that could not be reached have been purged, as long as the request's context lasts.
	Wait bool `json:"wait,omitempty"`
}

// ErrNothing says that a Request names no pages.
var ErrNothing = errors.New("nothing to purge is named: give URLs, paths, prefixes, sites or tags, or all")

// maxItems bounds the items of one Request.
const maxItems = 1000

// A URL is a page of a site, as nginx sees it.
type URL struct {
	Host string // in lower case, without port
	URI  string // the request target; it begins with a slash
}

// String returns the URL without scheme.
func (u URL) String() string { return u.Host + u.URI }

// Check reports what is wrong with a request, for the person who wrote it.
func (r *Request) Check() error {
	n := len(r.URLs) + len(r.Paths) + len(r.Prefixes) + len(r.Sites) + len(r.Tags)
	switch {
	case n == 0 && !r.All:
		return ErrNothing
	case n > 0 && r.All:
		return errors.New("all purges everything: name nothing else beside it")
	case n > maxItems:
		return fmt.Errorf("%d items are too many for one purge: give up to %d, or a prefix, a site or a tag", n, maxItems)
	}
	return r.checkItems()
}

func (r *Request) checkItems() error {
	for _, text := range slices.Concat(r.URLs, r.Paths, r.Prefixes) {
		if _, err := ParseURL(text); err != nil {
			return err
		}
	}
	for _, text := range r.Sites {
		if _, err := parseSite(text); err != nil {
			return err
		}
	}
	for _, tag := range r.Tags {
		if strings.Trim(tag, " \t") == "" {
			return errors.New("a tag is empty")
		}
	}
	return nil
}

// Items describes what is purged, an item each, for the log: "url …", "prefix …",
// "path …", "site …", "tag …" or "all".
func (r *Request) Items() (items []string) {
	add := func(kind string, list []string) {
		for _, text := range list {
			items = append(items, kind+" "+text)
		}
	}
	add("url", r.URLs)
	add("path", r.Paths)
	add("prefix", r.Prefixes)
	add("site", r.Sites)
	add("tag", r.Tags)
	if r.All {
		items = append(items, "all")
	}
	return items
}

// scopes returns what is to be looked for on the servers, besides the URLs.
func (r *Request) scopes() (scopes []cachewriter.Scope) {
	scopes = append(within(cachewriter.ScopePath, r.Paths), within(cachewriter.ScopePrefix, r.Prefixes)...)
	for _, text := range r.Sites {
		host, _ := parseSite(text) // Check has read it
		scopes = append(scopes, cachewriter.Scope{Kind: cachewriter.ScopeSite, Host: host})
	}
	for _, tag := range r.Tags {
		scopes = append(scopes, cachewriter.Scope{Kind: cachewriter.ScopeTag, Tag: policy.PurgeTag(tag)})
	}
	if r.All {
		scopes = append(scopes, cachewriter.Scope{Kind: cachewriter.ScopeAll})
	}
	return scopes
}

// within returns a scope for each URL.
func within(kind cachewriter.ScopeKind, urls []string) (scopes []cachewriter.Scope) {
	for _, text := range urls {
		u, _ := ParseURL(text) // Check has read it
		scopes = append(scopes, cachewriter.Scope{Kind: kind, Host: u.Host, URI: u.URI})
	}
	return scopes
}

// fetches reports whether pages are fetched again.
func (r *Request) fetches() bool { return r.Soft || r.Refresh }

// Mode is "hard", "soft" or "dry-run".
func (r *Request) Mode() string {
	switch {
	case r.DryRun:
		return "dry-run"
	case r.Soft:
		return "soft"
	}
	return "hard"
}
