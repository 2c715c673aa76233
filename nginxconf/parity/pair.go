package parity

import (
	"fmt"
	"slices"
	"strings"

	"uwgate/cachewriter"
	"uwgate/nginxconf"
)

// compareServers compares nginx's server lines with the gateway's.
func (k *checker) compareServers(l Lookup, lines, own []line) {
	pairs := pair(lines, own)
	complete := true
	for i, n := range lines {
		j := pairs[i]
		if j < 0 {
			complete = false
			k.serverMissing(l, n, own)
			continue
		}
		k.comparePair(l, n, own[j], len(lines) > 1)
	}
	for j, o := range own {
		if slices.Contains(pairs, j) {
			continue
		}
		complete = false
		if !isUnknown(o) && !slices.ContainsFunc(lines, isUnknown) {
			k.serverExtra(l, o)
		}
	}
	if complete {
		k.order(l, lines, pairs)
	}
}

// pair finds for each line the gateway's line that means the same server, or -1: first a
// line with the same spelling, then one with the same address.
func pair(lines, own []line) []int {
	pairs := make([]int, len(lines))
	for i := range pairs {
		pairs[i] = -1
	}
	for _, same := range []func(a, b line) bool{
		func(a, b line) bool { return a.Name == b.Name },
		func(a, b line) bool { return strings.EqualFold(a.Name, b.Name) },
		func(a, b line) bool {
			return slices.ContainsFunc(a.addrs, func(addr string) bool { return slices.Contains(b.addrs, addr) })
		},
		// nginx would use port 80 where 11211 was meant, which is another finding.
		func(a, b line) bool { return a.Name+":11211" == b.Name },
	} {
		for i, n := range lines {
			for j, o := range own {
				if pairs[i] < 0 && same(n, o) && !slices.Contains(pairs, j) {
					pairs[i] = j
				}
			}
		}
	}
	return pairs
}

// flag returns the line as a flag of serve.
func (n line) flag() string { return Flag{"memcached", asFlag(n.UpstreamServer)}.String() }

// serverFlags gives the gateway nginx's servers.
func (k *checker) serverFlags(l Lookup) Fix {
	var all []Flag
	for _, server := range l.memcached() {
		all = append(all, Flag{"memcached", server})
	}
	return give(all...)
}

// extraFix gives nginx a server of the gateway, or takes it from the gateway if that lacks
// others of nginx.
func (k *checker) extraFix(l Lookup, o line) Fix {
	text := "server " + o.Name + " max_fails=0;"
	both := text + "   # or remove it from the gateway's --memcached"
	if l.Memcached.Implicit || k.found.has(serverMissing) {
		return k.serverFlags(l).as(both)
	}
	weight := ""
	if o.Weight > 1 {
		weight = fmt.Sprintf(" weight=%d", o.Weight)
	}
	return end(l.Memcached.Place, "server "+o.Name+weight+" max_fails=0;").as(both)
}

// serverMissing reports a server that the gateway does not have. A name that cannot be
// resolved may stand for one of its servers, except if nginx hashes the text of the lines.
func (k *checker) serverMissing(l Lookup, n line, own []line) {
	unknown := slices.IndexFunc(own, isUnknown)
	switch {
	case l.method() == cachewriter.Consistent || !isUnknown(n) && unknown < 0:
		k.error(n.Place, serverMissing, k.serverFlags(l).as(n.flag()), "nginx asks %s, but uwgate knows only %s", n.Name, join(spellings(own)))
	case isUnknown(n):
		k.warning(n.Place, serverUnknown, k.serverFlags(l).as(n.flag()),
			"uwgate cannot know whether %s is one of its servers, %s: %v", n.Name, join(spellings(own)), n.err)
	default:
		k.warning(n.Place, serverUnknown, k.serverFlags(l).as(n.flag()),
			"uwgate cannot know whether %s is its server %s: %v", n.Name, own[unknown].Name, own[unknown].err)
	}
}

func isUnknown(n line) bool { return n.addrs == nil }

func (k *checker) serverExtra(l Lookup, o line) {
	level, what := Warning, "uwgate writes to it in vain"
	switch {
	case l.handsServerOver():
		level, what = Note, "nginx reports where it looked, so nothing is written there"
	case l.method() != cachewriter.All && (k.g.Hash == nil || *k.g.Hash == l.method()):
		level, what = Error, "the hash gives it keys of the others"
	}
	k.add(level, l.Memcached.Place, serverExtra, k.extraFix(l, o),
		"uwgate has %s, which nginx does not ask; %s", o.Name, what)
}

// comparePair compares the two lines of one server.
func (k *checker) comparePair(l Lookup, n, o line, several bool) {
	at := n.Place
	hashed := several && l.method() != cachewriter.All
	spelled := n.Name == o.Name
	if path, isSocket := nginxconf.CutUnix(n.Name); isSocket {
		other, _ := nginxconf.CutUnix(o.Name)
		spelled = path == other
	}
	lacking := slices.DeleteFunc(slices.Clone(n.addrs), func(addr string) bool { return slices.Contains(o.addrs, addr) })
	switch {
	case spelled:
	case several && l.method() == cachewriter.Consistent:
		k.add(l.ringLevel(), at, serverSpelled, k.serverFlags(l).as(n.flag()),
			"nginx hashes the text %s, but uwgate %s: keys go to different servers", n.Name, o.Name)
	case len(lacking) > 0 && len(n.addrs) > 1:
		k.error(at, serverAddresses, k.serverFlags(l).as(n.flag()+"   # or "+o.Name+" in nginx"),
			"%s stands for %s, which nginx asks in turn, but uwgate has only %s", n.Name, join(n.addrs), o.Name)
	case hashed && len(o.addrs) != len(n.addrs):
		k.add(l.ringLevel(), at, serverAddresses, k.serverFlags(l).as(n.flag()),
			"%s stands for %s, but uwgate's %s for %s: keys go to different servers", n.Name, join(n.addrs), o.Name, join(o.addrs))
	}
	if hashed && max(n.Weight, 1) != max(o.Weight, 1) {
		k.add(l.ringLevel(), at, serverWeight, k.serverFlags(l).as(n.flag()),
			"%s has weight %d in nginx, but %d in uwgate: keys go to different servers", n.Name, max(n.Weight, 1), max(o.Weight, 1))
	}
	k.down(l, n, o)
}

func (k *checker) down(l Lookup, n, o line) {
	at := n.Place
	switch {
	case n.Down == o.Down:
	case o.Down:
		k.add(l.ringLevel(), at, serverDown, k.serverFlags(l).as(n.flag()), "nginx asks %s, but for uwgate it is down", n.Name)
	case l.method() == cachewriter.All:
		k.warning(at, serverDown, k.serverFlags(l).as(n.flag()), "%s is down for nginx, but uwgate writes to it", n.Name)
	default:
		k.add(l.ringLevel(), at, serverDown, k.serverFlags(l).as(n.flag()), "%s is down for nginx, which asks others in its place, but uwgate writes to it", n.Name)
	}
}

// order compares the order of the lines.
func (k *checker) order(l Lookup, lines []line, pairs []int) {
	if slices.IsSorted(pairs) {
		return
	}
	at, flags := lines[0].Place, k.serverFlags(l)
	switch l.method() {
	case cachewriter.Modulo:
		k.add(l.ringLevel(), at, serverOrder, flags, "the servers have another order in nginx than in uwgate, and hash counts them: keys go to different servers")
	case cachewriter.Consistent:
		k.note(at, serverOrder, flags, "the servers have another order in nginx than in uwgate; that matters only where two servers have the same point on the ring")
	}
}
