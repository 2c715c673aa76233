package cachewriter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Subject is what a page shows. A wide purge (Scope) is compared with it.
type Subject struct {
	// Host is the site, in the form of nginx's $host: lower case, without a port. ""
	// means that it is not known.
	Host string

	// URI is the request target with its query, in the form of nginx's $request_uri. ""
	// means that it is not known.
	URI string

	// Tags are the names that the response or a rule gave to the page. Their order does
	// not matter.
	Tags []string

	// TagsLost means that the page had tags that are not known any more. Every tag may
	// be one of them.
	TagsLost bool
}

// A ScopeKind is what the pages of a wide purge have in common. The words are fit for
// logs and JSON. The zero value matches nothing.
type ScopeKind string

const (
	ScopeAll    ScopeKind = "all"    // every page that uwgate has stored
	ScopeSite   ScopeKind = "site"   // the pages of Host
	ScopePrefix ScopeKind = "prefix" // the pages of Host whose request target begins with URI
	ScopePath   ScopeKind = "path"   // the pages of Host with the path of URI, and any query
	ScopeURL    ScopeKind = "url"    // the pages of Host whose request target is URI, in all variants
	ScopeTag    ScopeKind = "tag"    // the pages that have Tag; of Host only, if that is set
)

// A Scope is the set of pages that a wide purge deletes. An empty Host stands for every
// site, except in ScopeSite.
//
// URIs are compared by what the application gets of them: `/%61`, `/./a`, `//a` and `/a?`
// are `/a`, in a path `%2F` is `/`, and in a query `+` is `%20`, `a&` is `a=`. See normalURI.
type Scope struct {
	Kind ScopeKind
	Host string // as in Subject
	URI  string // as in Subject; ScopePath ignores its query
	Tag  string
}

// Matches reports whether a page is in the scope. What is not known of a page may be
// anything: a page of an unknown Host is in every site, and a page of an unknown URI
// has every prefix, path and URL of its site.
func (s Scope) Matches(page Subject) bool {
	switch s.Kind {
	case ScopeAll:
		return true
	case ScopeSite:
		return s.matchesHost(page)
	case ScopePrefix, ScopePath, ScopeURL:
		return s.matchesHost(page) && (page.URI == "" || s.matchesURI(page.URI))
	case ScopeTag:
		return s.matchesHost(page) && (page.TagsLost || slices.Contains(page.Tags, s.Tag))
	}
	return false
}

func (s Scope) matchesHost(page Subject) bool {
	return page.Host == "" || s.Host == page.Host || s.Host == "" && s.Kind != ScopeSite
}

func (s Scope) matchesURI(uri string) bool {
	uri, own := normalURI(uri, false), normalURI(s.URI, s.Kind == ScopePrefix)
	switch s.Kind {
	case ScopePrefix:
		return strings.HasPrefix(uri, own) || own == uri+"?" || own == uri+"&"
	case ScopePath:
		path, _, _ := strings.Cut(uri, "?")
		ownPath, _, _ := strings.Cut(own, "?")
		return path == ownPath
	}
	return uri == own
}

// Check returns an error if a part of the scope is missing, or the Kind is unknown.
func (s Scope) Check() error {
	switch s.Kind {
	case ScopeAll:
		return nil
	case ScopeSite:
		return s.need("host", s.Host)
	case ScopePrefix, ScopePath, ScopeURL:
		return s.need("URI", s.URI)
	case ScopeTag:
		return s.need("tag", s.Tag)
	case "":
		return errors.New("cachewriter: purge: the scope has no kind")
	}
	return fmt.Errorf("cachewriter: purge: unknown kind of scope %q", s.Kind)
}

func (s Scope) need(what, value string) error {
	if value == "" {
		return fmt.Errorf("cachewriter: purge: a scope of kind %s needs a %s", s.Kind, what)
	}
	return nil
}

// String is the scope in words, for logs.
func (s Scope) String() string {
	words := []string{string(s.Kind)}
	if s.Kind == ScopeTag {
		words = append(words, s.Tag)
	}
	if s.Host != "" || s.URI != "" {
		words = append(words, s.Host+s.URI)
	}
	return strings.Join(words, " ")
}
