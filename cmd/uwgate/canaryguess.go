package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
)

// guessTemplate returns a template that makes nginx's key of this URL, "" if it finds none.
func (p *liveProof) guessTemplate(pr *probe, key string) string {
	vars, err := pr.vars()
	if err != nil || strings.Contains(key, "$") {
		return ""
	}
	file, _, _ := strings.Cut(pr.target, "?")
	for _, uri := range [][2]string{{pr.target, "$request_uri"}, {file, "$uri"}} {
		guess := pr.site().Replace(strings.Replace(key, uri[0], uri[1], 1))
		t, err := policy.ParseTemplate(guess)
		if err != nil || !strings.Contains(key, uri[0]) {
			continue
		}
		t.Nginx = p.policy.Keys.Template.Nginx
		if made, err := t.Expand(vars); err == nil && made == key {
			return guess
		}
	}
	return ""
}

// site replaces scheme and host by nginx's variables.
func (pr *probe) site() *strings.Replacer {
	host := headerOf(pr.lines, "Host")
	name := (&url.URL{Host: host}).Hostname()
	texts := []string{pr.scheme + "://", "$scheme://"}
	if host != name {
		texts = append(texts, host, "$http_host")
	}
	return strings.NewReplacer(append(texts, strings.ToLower(name), "$host")...)
}

// enoughLookups is a number of lookups that do not fit a hash method by chance.
const enoughLookups = moreProbes / 2

// explainServer looks for a hash method that fits all lookups of nginx.
func (s *cacheServers) explainServer(r *liveReport, asked []*probe) {
	var seen []liveLookup
	for _, pr := range asked {
		for _, l := range s.lookups(pr) {
			if l.Key == pr.key {
				seen = append(seen, l)
			}
		}
	}
	for _, o := range s.otherRings() {
		isElsewhere := func(l liveLookup) bool { return !slices.Contains(o.ring.Pick(l.Key), l.Server) }
		if len(seen) >= enoughLookups && !slices.ContainsFunc(seen, isElsewhere) {
			r.evidence("all %d lookups fit %s", len(seen), o.name)
			r.todo("give %s", o.name)
			return
		}
	}
	r.todo("compare --memcached with nginx's upstream block: the order of the servers, the spelling of their names, their weights, and whether one is missing; without a hash line nginx takes them in turns, and uwgate needs --hash none")
}

// An otherRing is a way in which nginx may choose servers, other than uwgate's.
type otherRing struct {
	name string
	ring *cachewriter.Ring
}

func (s *cacheServers) otherRings() (all []otherRing) {
	even := slices.Clone(s.servers)
	for i := range even {
		even[i].Weight = 1
	}
	for _, m := range []cachewriter.Method{cachewriter.Consistent, cachewriter.Modulo} {
		for _, o := range []struct {
			name    string
			servers []cachewriter.Server
		}{{fmt.Sprintf("--hash %v", m), s.servers}, {fmt.Sprintf("--hash %v without weights", m), even}} {
			if ring, err := cachewriter.NewRing(m, o.servers...); err == nil {
				all = append(all, otherRing{o.name, ring})
			}
		}
	}
	return all
}
