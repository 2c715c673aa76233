package parity

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

// partOfHost reports a key that has of the host only what the regex of a server_name has
// captured. The gateway does not find the host in it, and hosts that the regex does not match
// have one key.
func (k *checker) partOfHost(l Lookup) bool {
	isOfName := func(v nginxconf.Variable) bool {
		words := k.config.Words(v.Place)
		return v.Kind == "capture" && len(words) > 0 && words[0] == "server_name"
	}
	if !l.HandsKeyOver() || !slices.ContainsFunc(l.opaque(), isOfName) || len(l.Programs) > 0 {
		return false
	}
	refused := ""
	for _, host := range append(hostsOfRegexes(l.Names), k.hostsToTry(l)...) {
		s := l.sampleOf(host)
		ways, ok := k.missesOf(l, s)
		if !ok || !l.takes(host) || k.reasonFor(l, s, host+s["request_uri"]) == policy.Host {
			continue
		}
		for _, way := range ways {
			if k.mayDepend(l, way, isOfHost) || k.reasonFor(l, s, way.Key) != policy.Host {
				return false
			}
			refused = cmp.Or(refused, way.Key)
		}
	}
	if refused == "" {
		return false
	}
	k.error(l.at(l.Key.Place), keyWithoutHost, k.hostFix(l),
		"the key %s has of the host only what server_name captures, as in %s: hosts that the regex does not match would have one key, so nothing is stored", l.asked(), refused)
	return true
}

// capturing and repeating are parts of a regex that fit a word.
var capturing, repeating = regexp.MustCompile(`\([^()]*\)(\?)?`), regexp.MustCompile(`(\[[^\]]*\]|\\[wd]|\.)[+*]`)

// hostsOfRegexes returns a host for each regex of server_name, as far as it is simple.
func hostsOfRegexes(names []string) (hosts []string) {
	for _, name := range names {
		re, isRegex := strings.CutPrefix(name, "~")
		if !isRegex {
			continue
		}
		host := strings.Trim(capturing.ReplaceAllStringFunc(re, func(group string) string {
			return onlyIf(!strings.HasSuffix(group, "?"), "shop")
		}), "^$")
		hosts = append(hosts, strings.ReplaceAll(repeating.ReplaceAllString(host, "shop"), `\.`, "."))
	}
	return hosts
}
