package parity

import (
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// access reports what denies access to misses alone: everybody gets the pages that are
// stored for those who have access.
func (k *checker) access(l Lookup) {
	for _, p := range l.Reached {
		for _, guard := range p.Guards {
			if slices.ContainsFunc(l.Guards, func(own nginxconf.Text) bool { return kindOf(own) == kindOf(guard) }) {
				continue
			}
			level := Error
			if kind := kindOf(guard); kind == "auth_basic" || kind == "auth_digest" {
				level = Warning // of requests with Authorization only pages that are explicitly for all are stored
			}
			k.add(level, l.Place, accessDiffers, manual("the same access rules where pages are looked up, or `deny` there for what only some may see", "only you know who may see the pages"),
				"%s (%s) stands behind the lookup: it denies access to misses, and everybody gets the pages that are in memcached", guard.Value, guard.Place)
		}
	}
}

func kindOf(guard nginxconf.Text) string {
	kind, _, _ := strings.Cut(strings.Trim(guard.Value, "`"), " ")
	return kind
}
