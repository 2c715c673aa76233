package policy

import (
	"iter"
	"slices"
	"strings"

	"github.com/dunglas/httpsfv"

	"uwgate/uwsgi"
)

// Tags are names for groups of pages that are purged together. They are compared byte
// for byte.
const (
	maxTag  = 1 << 10  // bytes of a tag
	maxTags = 64 << 10 // bytes of a page's tags, each with a separator
)

// A tagField is a header that caches, and not browsers, read for tags.
type tagField struct{ name, separators string }

var tagFields = []tagField{
	{"Surrogate-Key", " \t"}, // Fastly
	{"xkey", " \t"},          // Varnish
	{"Cache-Tag", ","},       // Cloudflare and others
	{"Edge-Cache-Tag", ","},  // Akamai
}

// Fields of RFC 9875, which also browsers may read: lists of strings.
const (
	fieldGroups            = "Cache-Groups"
	fieldGroupInvalidation = "Cache-Group-Invalidation"
)

func isTagField(name string) bool {
	return slices.ContainsFunc(tagFields, func(f tagField) bool { return equalFold(f.name, name) })
}

// StripTags returns the header without the fields with tags that are for caches, unless
// Hits.KeepTags is set. It does not change h, and returns h itself if there are none.
func (p *Policy) StripTags(h uwsgi.Header) uwsgi.Header {
	isTags := func(f uwsgi.Field) bool { return isTagField(f.Name) }
	if p.Hits.KeepTags || !slices.ContainsFunc(h, isTags) {
		return h
	}
	return slices.DeleteFunc(h.Clone(), isTags)
}

// RequestTags returns the tags that a PURGE request names, in the fields in which pages
// have theirs, each once. v are its vars.
func RequestTags(v uwsgi.Vars) (tags []string) {
	for i := range tagFields {
		f := &tagFields[i]
		name := "HTTP_" + upperSnake(f.name)
		for _, x := range v {
			if x.Name != name {
				continue
			}
			for tag := range f.tags(x.Value) {
				if !slices.Contains(tags, tag) {
					tags = append(tags, tag)
				}
			}
		}
	}
	return tags
}

// PurgeTag returns the tag by which a purge finds the pages that had a tag. It is another
// one if the tag is so long that these pages have lost it: then any tag finds them.
func PurgeTag(tag string) string { return tag[:min(len(tag), maxTag)] }

// A tagList collects the tags of a page, each once.
type tagList struct {
	tags []string
	seen map[string]bool // of tags
	size int             // with separators
	lost bool            // see Verdict.TagsLost
}

// tagsOf returns the tags of a response and of its rule, nil if there are none. Those
// that cannot be kept or read are lost.
func tagsOf(h uwsgi.Header, rule *Rule) (tags []string, lost bool) {
	var l tagList
	for i := range h {
		l.addField(&h[i])
	}
	groups, ok := stringList(h, fieldGroups)
	l.lost = l.lost || !ok
	for _, group := range groups {
		l.add(group)
	}
	if rule != nil {
		for _, tag := range rule.Tags {
			l.add(tag)
		}
	}
	return l.tags, l.lost
}

func (l *tagList) addField(line *uwsgi.Field) {
	for i := range tagFields {
		if f := &tagFields[i]; equalFold(f.name, line.Name) {
			for tag := range f.tags(line.Value) {
				l.add(tag)
			}
		}
	}
}

// tags yields the tags of one line; none is empty.
func (f *tagField) tags(line string) iter.Seq[string] {
	isSeparator := func(r rune) bool { return strings.ContainsRune(f.separators, r) }
	return func(yield func(string) bool) {
		for tag := range strings.FieldsFuncSeq(line, isSeparator) {
			if tag = strings.Trim(tag, " \t"); tag != "" && !yield(tag) {
				return
			}
		}
	}
}

func (l *tagList) add(tag string) {
	switch {
	case tag == "" || l.seen[tag]:
		return
	case len(tag) > maxTag || l.size+len(tag)+1 > maxTags:
		l.lost = true
		return
	case l.seen == nil:
		l.seen = map[string]bool{}
	}
	l.seen[tag] = true
	l.size += len(tag) + 1
	l.tags = append(l.tags, tag)
}

// stringList reads a structured field that is a list of strings; their parameters do
// not matter. ok is false if a line is anything else: RFC 9651 §4.2 says to ignore the
// whole field then. Empty lines say nothing.
func stringList(h uwsgi.Header, name string) (list []string, ok bool) {
	lines := slices.DeleteFunc(h.Values(name), func(line string) bool { return strings.Trim(line, " \t") == "" })
	if len(lines) == 0 {
		return nil, true
	}
	members, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil, false
	}
	for _, m := range members {
		item, _ := m.(httpsfv.Item)
		s, isString := item.Value.(string)
		if !isString {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}
