package main

import (
	"bytes"
	"context"
	"path"
	"slices"
	"strings"

	"uwgate/gateway/policy"
)

// moreProbes is how many canaries are requested after one was no hit: enough to see which
// hash method nginx uses. Each is a request for the application.
const moreProbes = 16

// reportHit reports that every canary was a hit.
func (p *liveProof) reportHit(ctx context.Context, probes []*probe) *liveReport {
	pr := probes[0]
	r := p.report(pr)
	r.Tried, r.Hits = len(probes), len(probes)
	if got := pr.response.header.Get("Content-Type"); p.isTypeKnown(pr) && !policy.SameType(got, p.policy.Hits.Type) {
		r.is(offFormat, "nginx serves the page as %q, and uwgate takes hits for %q", got, p.policy.Hits.Type)
		r.todo("let default_type and charset of nginx's location say %s, or give --hit-type '%s': pages of any other type are then not stored", p.policy.Hits.Type, got)
		return r
	}
	r.is(liveHit, "nginx serves what lies in memcached: %d canaries of %d, on %d of its servers", len(probes), len(probes), len(p.live))
	if !bytes.Equal(pr.response.shown(), p.page) {
		r.warn("nginx changes the page on its way (sub_filter, ssi, addition, a CDN before it): hits differ from what is stored")
	}
	p.warnOfGzip(ctx, r, pr)
	return r
}

// isTypeKnown reports whether hits of this path have the type of --hit-type. If the path has
// an extension, nginx's types map decides.
func (p *liveProof) isTypeKnown(pr *probe) bool {
	file, _, _ := strings.Cut(pr.target, "?")
	return p.policy.Hits.Format != policy.FormatHTTP && path.Ext(file) == ""
}

// warnOfGzip requests the canary again, as a client that does not accept gzip.
func (p *liveProof) warnOfGzip(ctx context.Context, r *liveReport, pr *probe) {
	if p.policy.Hits.Format != policy.FormatGzip {
		return
	}
	plain := *pr
	var err error
	if plain.lines, err = requestLines(pr.host, "identity", p.headers); err != nil {
		return
	}
	if a := p.get(ctx, &plain); p.isHit(a) && a.isZipped() {
		r.warn("a client that does not accept gzip gets it; add `gunzip on;` beside memcached_gzip_flag")
	}
}

// examine finds out why a canary was no hit after so many hits.
func (p *liveProof) examine(ctx context.Context, probes []*probe, hits int) *liveReport {
	first := probes[hits]
	r := p.report(first)
	r.Tried, r.Hits = hits+1, hits
	if p.judgeAnswer(r, first) {
		return r
	}
	p.watch(ctx)
	asked, missed := p.askAgain(ctx, probes[hits:])
	if len(missed) == 0 {
		again := p.reportHit(ctx, probes)
		again.warn("the first request for %s was no hit (%s), and the next one was: nginx or memcached was slow, or has just been restarted", r.URL, r.Answer)
		return again
	}
	r = p.report(missed[0])
	r.Tried = hits + len(asked)
	r.Hits = r.Tried - len(missed)
	if !p.judgeAnswer(r, missed[0]) {
		p.judgeLookups(r, missed[0], asked)
	}
	return r
}

// askAgain requests canaries while memcached reports its lookups, and stops when there is
// enough to judge by. It returns the requested ones, and those of them that were no hit.
func (p *liveProof) askAgain(ctx context.Context, probes []*probe) (asked, missed []*probe) {
	for i, pr := range probes {
		if len(missed) > 0 && i >= moreProbes {
			break
		}
		asked = append(asked, pr)
		if pr.response = p.get(ctx, pr); p.isHit(pr.response) {
			continue
		}
		if missed = append(missed, pr); len(missed) > 1 {
			continue
		}
		p.settle(ctx)
		if own := p.lookups(pr); len(own) > 0 && elsewhere(pr, own) == "" {
			return asked, missed
		}
	}
	p.settle(ctx)
	return asked, missed
}

// judgeAnswer judges by the response alone, and reports whether that is enough.
func (p *liveProof) judgeAnswer(r *liveReport, pr *probe) bool {
	switch a := pr.response; {
	case a.err != nil:
		p.unreached(r, pr)
	case p.bears(a):
		p.misformed(r, a)
	default:
		return false
	}
	return true
}

// judgeLookups judges by the lookups of a canary that was no hit, and of all that were
// requested.
func (p *liveProof) judgeLookups(r *liveReport, pr *probe, asked []*probe) {
	own := p.lookups(pr)
	r.Asked = append(r.Asked, own...)
	right := slices.IndexFunc(own, func(l liveLookup) bool { return l.Key == pr.key })
	switch server := elsewhere(pr, own); {
	case server != "":
		r.is(offServer, "nginx looks for the page on %s, and uwgate writes it to %s", server, strings.Join(pr.servers, ", "))
		p.explainServer(r, asked)
	case right >= 0 && own[right].Found:
		p.fellThrough(r, pr, own[right].Server)
	case right >= 0:
		r.is(offServer, "%s was asked for the page and no longer had it", own[right].Server)
		r.todo("see whether that memcached is full (`stats`: evictions), restarts or is flushed, or whether what listens there is a proxy before several")
	case len(own) > 0:
		p.wrongKey(r, pr, own[0].Key)
	case p.refusedBy(r, pr, pr.response):
	case r.Hits > 0:
		r.is(offServer, "nginx serves some of the canaries, and looks for this one on none of --memcached")
		r.todo("name every server of nginx's upstream block with --memcached, in its order, and its hash with --hash")
	case len(p.unwatched()) > 0:
		p.untold(r, pr)
	default:
		p.noLookup(r, pr)
	}
}

// elsewhere returns a server that was asked for the canary and that it was not written to,
// "" if there is none.
func elsewhere(pr *probe, own []liveLookup) string {
	for _, l := range own {
		if l.Key == pr.key && !slices.Contains(pr.servers, l.Server) {
			return l.Server
		}
	}
	return ""
}

// unwritten reports that memcached did not store the canary.
func (p *liveProof) unwritten(pr *probe, err error) *liveReport {
	r := p.report(pr)
	r.is(offReach, "the canary cannot be written: %v", err)
	r.todo("start that memcached, or check the address in --memcached; a server that is marked down in nginx's upstream block is marked down here, too")
	return r
}

// misformed reports a response that contains the canary and is not the page.
func (p *liveProof) misformed(r *liveReport, a response) {
	switch {
	case hasHead(a.body):
		r.is(offFormat, "uwgate writes head and body, and nginx serves the head as a part of the page")
		r.todo("start uwgate with --format body; or let nginx read such values: `uwgate nginx --format http` prints how (srcache_fetch, memc_pass)")
	case len(inflate(a.body)) > 0 && !a.isZipped():
		r.is(offFormat, "uwgate writes gzip with the flag %d, and nginx serves it without Content-Encoding: browsers would show garbage", p.policy.Hits.GzipFlag)
		r.todo("write `memcached_gzip_flag %d; gunzip on;` into nginx's location, or start uwgate with --format body", p.policy.Hits.GzipFlag)
	default:
		r.is(offFormat, "nginx finds the page, and makes a %d of it that is another", a.status)
		r.evidence("the response body begins %q", clip(string(a.body), 40))
		r.todo("see what nginx's location does to the responses of memcached_pass")
	}
}

// fellThrough reports a lookup that found the canary, which nginx did not serve.
func (p *liveProof) fellThrough(r *liveReport, pr *probe, server string) {
	r.is(offFormat, "nginx finds the page on %s, and goes on to the application all the same", server)
	if p.policy.Hits.Format == policy.FormatHTTP {
		r.todo("see nginx's error log for what memc_pass or srcache_fetch has against the value of %s", pr.target)
		return
	}
	r.todo("srcache_fetch takes values with a head only: if nginx's location has it, start uwgate with --format http")
	r.todo("else see nginx's error log for %s", pr.target)
}

func (p *liveProof) wrongKey(r *liveReport, pr *probe, asked string) {
	if pr.missed != nil && pr.missed.came != nil && pr.missed.came.Policy.KeySource == "nginx" {
		r.is(offKey, "nginx looks for the page under another key than it hands over as CACHE_KEY, and uwgate writes it under that")
		r.todo("write `uwsgi_param CACHE_KEY $memcached_key if_not_empty;` where nginx sends misses to uwgate, or what else is looked up")
		return
	}
	r.is(offKey, "nginx looks for the page under another key than uwgate's")
	template := p.guessTemplate(pr, asked)
	if template == "" {
		r.todo("give --key the value of nginx's `set $memcached_key`, letter for letter")
	} else {
		r.todo("give --key '%s', which makes nginx's key of this URL", template)
	}
	if !p.keyGiven {
		r.todo("where nginx hands the key over (uwsgi_param CACHE_KEY), `uwgate serve` takes any and needs no --key: name its --admin here, and this check asks nginx for the key, too")
	}
}

// untold reports a miss on servers that do not report their lookups.
func (p *liveProof) untold(r *liveReport, pr *probe) {
	r.is(offMiss, "nginx does not serve the canary; whether it looks for another key, on another server or not at all cannot be determined here")
	for _, err := range p.unwatched() {
		r.evidence("%v", err)
	}
	r.todo("compare nginx's `set $memcached_key` with --key and its upstream block with --memcached and --hash; see its error log for %s", pr.target)
	r.todo("memcached itself, in place of a proxy and without -W, would report more")
}

// noLookup reports a request for which none of the servers had a lookup.
func (p *liveProof) noLookup(r *liveReport, pr *probe) {
	r.is(offLookup, "nginx responds with %d and asks none of --memcached for the page: it looks nothing up, or elsewhere", pr.response.status)
	if pr.response.isGateways() {
		r.evidence("the request came to uwgate")
	} else {
		r.evidence("the response does not have uwgate's Cache-Status: it is nginx's own, or that of a worker that nginx asks directly")
		p.before(r, pr.response)
		p.whichServer(r, pr, pr.response)
	}
	r.todo("see that the location of this URL has memcached_pass or srcache_fetch, and no `if` that goes another way")
	r.todo("if it has, compare --memcached with nginx's upstream block")
	strangers := p.strangers()
	for _, l := range strangers[:min(len(strangers), maxStrangers)] {
		r.evidence("meanwhile %s was asked for a key without this URL in it, by others or by nginx if its key is a hash: %s", l.Server, clip(printable(l.Key), 60))
	}
}
