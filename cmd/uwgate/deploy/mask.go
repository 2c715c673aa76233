package deploy

import (
	"regexp"
	"strings"
)

// A Mask hides what differs between two responses for the same page without a meaning.
// NewMask makes one. It is safe for concurrent use.
type Mask struct {
	ignore []*regexp.Regexp
}

// NewMask returns a Mask that also removes what these match.
func NewMask(ignore ...*regexp.Regexp) *Mask { return &Mask{ignore} }

// hidden stands for what is hidden.
const hidden = "…"

// formTag is a tag that may hold a token, and tokenName is what tells that it does.
var (
	formTag   = regexp.MustCompile(`(?i)<(?:input|meta|button)\b[^>]*>`)
	tokenName = regexp.MustCompile(`(?i)\b(?:name|id|property)\s*=\s*["']?[^"'>\s]*(?:csrf|xsrf|authenticity_token|requestverificationtoken|form_build_id|form_token|form_key|nonce|_token\b)`)
	tokenText = regexp.MustCompile(`(?i)\b(value|content)\s*=\s*("[^"]*"|'[^']*'|[^\s>"']+)`)
)

// A pattern is hidden: what of a match stays is in with.
type pattern struct {
	find *regexp.Regexp
	with string
}

const clock = `\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?`

// patterns are hidden in every page.
var patterns = []pattern{
	{regexp.MustCompile(`(?i)\b(nonce\s*=\s*)(?:"[^"]*"|'[^']*')`), `${1}` + hidden},
	{regexp.MustCompile(`'nonce-[A-Za-z0-9+/_=-]+'`), `'nonce-` + hidden + `'`},
	{regexp.MustCompile(`(?i)((?:csrf|xsrf)[\w-]*["']?\s*[:=]\s*)(?:"[^"]*"|'[^']*')`), `${1}` + hidden}, // in scripts and JSON

	// A date with a time of day, or a time of day with seconds. A date alone is content.
	{regexp.MustCompile(`\d{4}-\d{2}-\d{2}[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?(?:Z\b|UTC\b|GMT\b|[+-]\d{2}:?\d{2}))?`), hidden},
	{regexp.MustCompile(`(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? \d{1,2} [A-Z][a-z]+ \d{4},? ` + clock + `(?: ?(?:GMT|UTC|[+-]\d{4}))?`), hidden},
	{regexp.MustCompile(`\b` + clock + `\b`), hidden},
	{regexp.MustCompile(`\b1[5-9]\d{8}(?:\d{3})?(?:\.\d+)?\b`), hidden}, // seconds or milliseconds since 1970: 2017 to 2033
	{regexp.MustCompile(`(?i)\b\d+\s(?:second|minute|hour)s?(?:,\s\d+\s(?:second|minute)s?)?\sago\b`), hidden},

	// UUIDs, hashes, request ids.
	{regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), hidden},
	{regexp.MustCompile(`(?i)\b[0-9a-f]{32,}\b`), hidden},
}

// tokenLike is a long word; it is a token only if isToken says so.
var tokenLike = regexp.MustCompile(`[A-Za-z0-9_+=-]{40,}`)

// isToken reports whether a long word is made by a random generator: words of a language
// do not mix capitals, small letters and digits all over.
func isToken(word string) bool {
	return strings.ContainsAny(word, "0123456789") && changes(word) > len(word)/4
}

// changes counts how often a word changes between capitals, small letters and digits.
func changes(word string) (n int) {
	last := byte(0)
	for i := range len(word) {
		class := classOf(word[i])
		if class != 0 && last != 0 && class != last {
			n++
		}
		if class != 0 {
			last = class
		}
	}
	return n
}

func classOf(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return '0'
	case c >= 'A' && c <= 'Z':
		return 'A'
	case c >= 'a' && c <= 'z':
		return 'a'
	}
	return 0
}

// Hide returns a body without what the Mask hides.
func (m *Mask) Hide(body string) string {
	for _, ignore := range m.ignore {
		body = ignore.ReplaceAllLiteralString(body, "") // one of the pages may not have it at all
	}
	body = formTag.ReplaceAllStringFunc(body, func(tag string) string {
		if tokenName.MatchString(tag) {
			return tokenText.ReplaceAllString(tag, "${1}="+hidden)
		}
		return tag
	})
	for _, p := range patterns {
		body = p.find.ReplaceAllString(body, p.with)
	}
	return tokenLike.ReplaceAllStringFunc(body, func(word string) string {
		if isToken(word) {
			return hidden
		}
		return word
	})
}

const assetType = `(?:css|m?js|map|json|wasm|png|jpe?g|gif|svg|webp|avif|ico|woff2?|ttf|otf|eot)`

// assetName is a static file's name with something like a hash in it, as in
// site.55e7cbb9ba48.css, index-DkZ3x_9a.js or app~3f2a1b9c.min.js.
var assetName = regexp.MustCompile(`([.~_-])([A-Za-z0-9_-]{8,64})((?:\.(?:min|chunk|bundle|module))*\.` + assetType + `\b)`)

// assetPatterns are versions of static files: site.css?v=42, and hashes of their content.
var assetPatterns = []pattern{
	{regexp.MustCompile(`(\.` + assetType + `\?)[A-Za-z0-9_.=-]+`), `${1}` + hidden},
	{regexp.MustCompile(`(?i)\b(integrity\s*=\s*)(?:"[^"]*"|'[^']*')`), `${1}` + hidden},
}

// HideAssets returns what Hide returned without hashes and versions in the names of static
// files.
func (m *Mask) HideAssets(body string) string {
	body = assetName.ReplaceAllStringFunc(body, func(name string) string {
		parts := assetName.FindStringSubmatch(name)
		if changes(parts[2]) == 0 {
			return name // a word
		}
		return parts[1] + hidden + parts[3]
	})
	for _, p := range assetPatterns {
		body = p.find.ReplaceAllString(body, p.with)
	}
	return body
}
