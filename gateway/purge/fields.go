package purge

import (
	"fmt"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// knownFields are the vars of the header fields of a PURGE request that have "purge" in
// their names and that Read, or Access, understands.
var knownFields = []string{varToken, "HTTP_X_PURGE_SCOPE", "HTTP_X_PURGE_METHOD", "HTTP_FASTLY_SOFT_PURGE"}

// A foreignField is one by which other caches purge something else than the page of the
// URL. To ignore it would purge that page, and leave what was meant.
type foreignField struct {
	words   []string // of the field's name, in capitals; one is enough
	instead string
}

const (
	writeTags   = "write the tags in Surrogate-Key, with spaces between them, or in Cache-Tag, with commas"
	writeSoft   = "write X-Purge-Method: soft for a soft purge"
	writePrefix = "write X-Purge-Scope: prefix, and send PURGE for the path that the URLs begin with"
	writeSite   = "write the site in Host, and send PURGE / with X-Purge-Scope: prefix"
	writeURL    = "send PURGE for the URL itself, with its site in Host"
	writeKnown  = "write X-Purge-Scope: exact, query or prefix; X-Purge-Method: soft or hard; tags in Surrogate-Key"
)

// foreignFields are in the order in which they count: X-Soft-Purge-Key names tags.
var foreignFields = []foreignField{
	{[]string{"TAG", "TAGS", "KEY", "KEYS", "XKEY", "SOFTPURGE"}, writeTags},
	{[]string{"PREFIX", "REGEX", "REGEXP", "PATTERN", "PATH", "WILDCARD"}, writePrefix},
	{[]string{"HOST", "HOSTS", "SITE", "DOMAIN", "ALL"}, writeSite},
	{[]string{"URL", "URI"}, writeURL},
	{[]string{"SOFT", "MODE", "TYPE", "HARD"}, writeSoft},
}

// foreignNames are fields without "purge" in their names.
var foreignNames = []string{
	"HTTP_X_MAGENTO_TAGS_PATTERN", "HTTP_X_XKEY", "HTTP_SURROGATE_KEYS", "HTTP_X_SURROGATE_KEY", "HTTP_X_SURROGATE_KEYS",
	"HTTP_CACHE_TAGS", "HTTP_X_CACHE_TAG", "HTTP_X_CACHE_TAGS",
}

// checkFields returns an error if a request has a header field that narrows or widens the
// purge in a way that we do not know.
func checkFields(v uwsgi.Vars) error {
	for _, x := range v {
		name, isField := strings.CutPrefix(x.Name, "HTTP_")
		switch {
		case !isField || slices.Contains(knownFields, x.Name):
		case slices.Contains(foreignNames, x.Name):
			return unknownField(name, writeTags)
		case strings.Contains(name, "PURGE"):
			return unknownField(name, insteadOf(name))
		}
	}
	return nil
}

func insteadOf(name string) string {
	words := strings.Split(name, "_")
	for _, f := range foreignFields {
		if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(f.words, w) }) {
			return f.instead
		}
	}
	return writeKnown
}

// unknownField names a field as people write it.
func unknownField(name, instead string) error {
	words := strings.Split(strings.ToLower(name), "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return fmt.Errorf("%s is not known, and nothing was purged: %s", strings.Join(words, "-"), instead)
}
