package snippet

import (
	"errors"
	"slices"
	"strings"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

// CheckFragments returns an error if no location of fragments can have that prefix.
func CheckFragments(prefix string) error {
	if !strings.HasPrefix(prefix, "/") || !strings.HasSuffix(prefix, "/") || prefix == "/" {
		return errors.New("write the beginning of the fragments' paths, between slashes, as in /fragments/")
	}
	return nil
}

// addFragments adds what SSI needs.
func (s *Site) addFragments(v *values, q *quoter) {
	if len(s.Fragments) == 0 {
		return
	}
	if s.Format == policy.FormatGzip {
		q.fail("nginx processes no SSI directives in compressed pages: use the format body or http")
	}
	for _, prefix := range s.Fragments {
		if err := CheckFragments(prefix); err != nil {
			q.fail("fragments %q: %v", prefix, err)
		}
		v.Fragments = append(v.Fragments, q.quote("a path of fragments", prefix))
	}
	v.FragmentKey = q.quoteKey(s.fragmentKey())
	for _, word := range policy.DefaultSentinels {
		if word != SSISentinel {
			v.Sentinels = append(v.Sentinels, word)
		}
	}
}

// SSISentinel is the one of policy.DefaultSentinels that keeps pages with SSI directives out
// of memcached.
const SSISentinel = "<!--#"

// fragmentKey returns the key of a fragment: $request_uri would be its page's.
func (s *Site) fragmentKey() string {
	var e nginxconf.Expression
	for _, p := range nginxconf.ParseExpression(s.key()) {
		name := nginxconf.Lower(p.Text)
		if p.IsVariable && slices.Contains([]string{"request_uri", "page_uri" + s.suffix()}, name) {
			for _, own := range []string{"uri", "is_args", "args"} {
				e = append(e, nginxconf.Piece{Text: own, IsVariable: true})
			}
			continue
		}
		e = append(e, p)
	}
	return e.String()
}
