package parity

import (
	"slices"
	"strings"
	"time"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/uwsgi"
)

// unseenParts are what the gateway must find in a key that nginx hands over, by the reason
// for which it refuses pages otherwise, with the variables that have it.
var unseenParts = []struct {
	reason    policy.Reason
	name      string
	variables []string
}{
	{policy.Host, "host", []string{"host", "http_host"}},
	{policy.Rewritten, "path", []string{"request_uri", "uri"}},
	{policy.Arguments, "arguments", []string{"request_uri", "args"}},
}

// unseen finds keys in which the gateway does not see what they have, since it runs into
// something else: with `$lang$host` it sees the host enexample.com.
func (k *checker) unseen(l Lookup) {
	at := l.at(l.Key.Place)
	isWrong := func(code Code) bool { return k.found.hasAt(at, code) }
	if l.Misses == nil || !l.HandsKeyOver() || l.Key.Late != "" || slices.ContainsFunc([]Code{keyAmbiguous, keyPartial, keyConstant, keyWithoutHost, handoverKey}, isWrong) {
		return
	}
	for _, part := range unseenParts {
		key, isSeen := k.unseenIn(l, l.asked(), part.reason)
		if isSeen || !slices.ContainsFunc(part.variables, l.knows) {
			continue
		}
		k.add(k.certainly(l), at, keyUnseen, k.separateFix(l, part.reason),
			"uwgate does not see the %s in the key %s, since it runs into what is beside it, as in %s: such pages are not stored", part.name, l.asked(), key)
		return
	}
}

// certainly is Error if all values of the key's variables are known.
func (k *checker) certainly(l Lookup) Level {
	s := k.sample(l)
	for _, name := range nginxconf.Variables(l.asked()) {
		if _, known := s[name]; !known && k.values(name, s)[0] == unknownValue {
			return Warning
		}
	}
	return Error
}

// unseenIn returns a key of the expression that the gateway refuses for a reason.
func (k *checker) unseenIn(l Lookup, expression string, reason policy.Reason) (key string, isSeen bool) {
	s := k.sample(l)
	for _, key := range k.samples(expression, s) {
		if k.reasonFor(l, s, key) == reason {
			return key, false
		}
	}
	return "", true
}

// separateFix puts a | between the parts of the key.
func (k *checker) separateFix(l Lookup, reason policy.Reason) Fix {
	key := l.separated(k.sample(l))
	if _, isSeen := k.unseenIn(l, key, reason); !isSeen {
		return manual("put a | before and after $host and $request_uri in the key", "only you know what the other variables hold")
	}
	quoted := nginxconf.Quote(key)
	if l.Key.Asked.IsZero() {
		return k.setKey(l, quoted)
	}
	words := k.config.Words(l.Key.Asked.Place)
	return replace(l.Key.Asked.Place, words[0]+" "+words[1]+" "+quoted+";").and(k.params(l.misses(), "uwsgi_param CACHE_KEY "+quoted+" if_not_empty;"))
}

// separated is the key with a | between its own text or variables and those of the URL.
func (l Lookup) separated(s sample) string {
	isURL := func(p nginxconf.Piece) bool {
		_, known := s[nginxconf.Canonical(p.Text)]
		return p.IsVariable && known
	}
	var all nginxconf.Expression
	for i, p := range nginxconf.ParseExpression(nginxconf.Canonical(l.asked())) {
		if i > 0 && isURL(p) != isURL(all[len(all)-1]) && !isSeparator(all[len(all)-1], p) {
			all = append(all, nginxconf.Piece{Text: "|"})
		}
		all = append(all, p)
	}
	return all.String()
}

// isSeparator reports whether one of two pieces has a separator where they touch.
func isSeparator(one, other nginxconf.Piece) bool {
	const separators = ":|/ "
	return !one.IsVariable && strings.ContainsAny(one.Text[len(one.Text)-1:], separators) || !other.IsVariable && strings.ContainsAny(other.Text[:1], separators)
}

// A sample is a request for a page, as nginx sees it, by variables of nginx.
type sample map[string]string

// sample returns a request for a page of the lookup, to a host whose pages are stored.
func (k *checker) sample(l Lookup) sample {
	hosts := k.hostsOf(l)
	i := slices.IndexFunc(hosts, func(host string) bool {
		s := l.sampleOf(host)
		return k.reasonFor(l, s, host+s["request_uri"]) != policy.Host
	})
	return l.sampleOf(hosts[max(i, 0)])
}

// hostsOf returns hosts of the lookup's server block: those that server_name writes out. If
// it takes others, too, these are examples, and hosts that fit --allowed-host.
func (k *checker) hostsOf(l Lookup) (hosts []string) {
	isOpen := len(l.Names) == 0
	for _, name := range l.Names {
		switch {
		case name == "_", strings.HasPrefix(name, "~"):
			isOpen = true
		case strings.Contains(name, "*"):
			hosts = append(hosts, strings.ReplaceAll(name, "*", "www"))
		case strings.Contains(name, "."):
			hosts = append(hosts, strings.TrimPrefix(name, "."))
		}
		isOpen = isOpen || strings.Contains(name, "*") || strings.HasPrefix(name, ".")
	}
	if isOpen || len(hosts) == 0 {
		hosts = append(hosts, "www.example.com")
		for _, glob := range k.g.AllowedHosts {
			hosts = append(hosts, strings.ReplaceAll(glob, "*", "www"))
		}
	}
	return hosts
}

// sampleOf returns a request for a page of a host.
func (l Lookup) sampleOf(host string) sample {
	scheme, port := l.OnlyScheme(), l.port()
	if scheme == "" {
		scheme = "http"
	}
	https := onlyIf(scheme == "https", "on")
	return sample{
		"request_method": "GET", "request_uri": "/shop/page?size=7", "uri": "/shop/page", "args": "size=7", "is_args": "?", "arg_size": "7",
		"host": host, "http_host": host, "server_name": host, "server_port": port, "scheme": scheme, "https": https, "server_protocol": "HTTP/1.1",
	}
}

// vars returns the request as the gateway gets it after a miss, with a key.
func (s sample) vars(key, status string) uwsgi.Vars {
	return uwsgi.Vars{
		{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: s["request_uri"]}, {Name: "PATH_INFO", Value: s["uri"]}, {Name: "QUERY_STRING", Value: s["args"]},
		{Name: "HTTP_HOST", Value: s["host"]}, {Name: "SERVER_NAME", Value: s["server_name"]}, {Name: "SERVER_PORT", Value: s["server_port"]}, {Name: "REQUEST_SCHEME", Value: s["scheme"]},
		{Name: "CACHE_KEY", Value: key}, {Name: "CACHE_STATUS", Value: status},
	}
}

// reasonFor returns why the gateway refuses every page of a request whose key nginx hands
// over; "": it does not.
func (k *checker) reasonFor(l Lookup, s sample, key string) policy.Reason {
	status := "404"
	if l.hasHead() {
		status = "MISS"
	}
	p := policy.Policy{Keys: policy.Keys{AllowedHosts: k.g.AllowedHosts, AllowRewrites: k.g.AllowRewrites}, Lifetimes: policy.Lifetimes{Default: time.Minute}}
	return p.Request(s.vars(key, status)).Reason
}

// maxSamples is the number of keys that are tried for one lookup.
const maxSamples = 16

// samples returns keys of the request: one for each value that a map of the key can give.
func (k *checker) samples(expression string, s sample) (keys []string) {
	for n := range maxSamples {
		more := false
		var key strings.Builder
		for _, p := range nginxconf.ParseExpression(nginxconf.Canonical(expression)) {
			value, known := s[p.Text]
			switch {
			case !p.IsVariable:
				value = p.Text
			case !known:
				values := k.values(p.Text, s)
				value, more = values[min(n, len(values)-1)], more || n+1 < len(values)
			}
			key.WriteString(value)
		}
		keys = append(keys, key.String())
		if !more {
			break
		}
	}
	return keys
}

// unknownValue is the value of a variable of which nothing is known.
const unknownValue = "x"

// values returns some values of a variable that only nginx knows: those that its map gives
// without captures.
func (k *checker) values(variable string, s sample) []string {
	if all := k.results(variable, s, maxMaps); len(all) > 0 {
		return all
	}
	return []string{unknownValue}
}

func (k *checker) results(variable string, s sample, depth int) (all []string) {
	m, found := k.config.Map(variable)
	if !found || depth == 0 {
		return nil
	}
	for _, words := range m.Lines {
		if len(words) != 2 {
			continue
		}
		if value, known := k.result(words[1], s, depth); known && !slices.Contains(all, value) {
			all = append(all, value)
		}
	}
	return all
}

// result returns a value of what a line of a map gives.
func (k *checker) result(expression string, s sample, depth int) (value string, known bool) {
	for _, p := range nginxconf.ParseExpression(nginxconf.Canonical(expression)) {
		text, known := s[p.Text]
		if !p.IsVariable {
			text, known = p.Text, true
		}
		if inner := k.results(p.Text, s, depth-1); !known && len(inner) > 0 {
			text, known = inner[0], true
		}
		if !known {
			return "", false
		}
		value += text
	}
	return value, true
}
