package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
	"uwgate/uwsgi"
)

const (
	canaryLife       = time.Minute      // of a canary that cannot be deleted
	proofTimeout     = 40 * time.Second // of the whole proof; well within canaryLife
	responseTimeout  = 5 * time.Second  // of one request through nginx
	memcachedTimeout = time.Second      // of one command to memcached
	settleTimeout    = 5 * time.Second  // until memcached has reported its lookups
	cleanTimeout     = 5 * time.Second
)

// A liveProof writes canaries, pages under fresh URLs, where uwgate would write
// pages, and reads them through nginx. It is used once.
type liveProof struct {
	visitor
	cacheServers
	nginxKnown
	canary

	policy   *policy.Policy // for the key's template, the format and the type of hits
	keyGiven bool           // the template is not the default
	keyFixed bool           // --key says it; else the keys of canaries are asked of nginx where possible
	keyless  bool           // only nginx can compute its key, and no template is known

	runID   string // hexadecimal digits in the URLs of all canaries
	named   int    // canaries so far
	hearing hearing
	missing *probe // the canary that is not written; nil: not requested
}

// A visitor requests canaries through nginx.
type visitor struct {
	via      string         // a URL of the site
	headers  []string       // of the requests, as "Name: value"
	format   policy.Format  // of what is stored: which encoding a visitor accepts
	roots    *x509.CertPool // nil: the system's
	insecure bool           // any certificate will do
}

// cacheServers are the memcached servers of the site, and what their lookups show.
type cacheServers struct {
	method  cachewriter.Method
	servers []cachewriter.Server

	// Set by connect.
	ring    *cachewriter.Ring
	live    []string // the addresses of servers that are not marked down
	directs map[string]*cachewriter.Direct

	watchers []*cachewriter.Watcher // of live, once a canary was no hit; nil where watching failed
	blind    []error                // of live: why its lookups are not known
}

// A canary is the page that is stored under all fresh URLs.
type canary struct {
	marker string // in the page, and in no URL
	page   []byte // what a browser shows
	value  []byte // page as it is stored
	flags  uint32
}

// proveLive is `uwgate check --via`. The error says why nothing could be tried;
// what is wrong is no error (see liveReport.hit).
func proveLive(ctx context.Context, s *settings.Settings, known nginxKnown) (*liveReport, error) {
	p, err := newLiveProof(ctx, s, known)
	if err != nil {
		return nil, err
	}
	return p.run(ctx)
}

// nginxKnown is what is known of nginx's configuration, by --nginx and the flags. The zero
// value is nothing.
type nginxKnown struct {
	conf     *nginxconf.Config
	findings []parity.Finding
	gateways []string // where nginx sends misses, as far as known
}

func newLiveProof(ctx context.Context, s *settings.Settings, known nginxKnown) (*liveProof, error) {
	if len(s.Store.Servers) == 0 {
		return nil, errors.New("--memcached is missing: name the servers of nginx's memcached_pass as they are written there, as in --memcached 127.0.0.1:11211; or name nginx's file with --nginx; `uwgate check` without flags prints the command for this machine")
	}
	decisions, err := s.Policy(nil)
	if err != nil {
		return nil, err
	}
	known.gateways = gatewaysOf(s, known.conf)
	p := &liveProof{
		visitor:      visitor{via: s.Command.Via, headers: s.Command.Headers, format: decisions.Hits.Format, insecure: s.Command.Insecure},
		cacheServers: cacheServers{method: s.Store.Hash},
		nginxKnown:   known,
		policy:       decisions, keyGiven: s.Template() != "",
		keyFixed: !s.Origin("key").IsDefault(), keyless: s.Nginx != nil && s.Template() == "",
	}
	if !s.Control.Admin.IsZero() {
		p.hearing.api = &adminAPI{Control: s.Control, timeout: adminTimeout}
	}
	p.servers, err = s.MemcachedServers(ctx)
	return p, err
}

// run writes canaries, reads them through nginx and deletes them, even if ctx ends before.
// What it could not delete is in the report or the error, and expires after canaryLife.
func (p *liveProof) run(ctx context.Context) (*liveReport, error) {
	probes, err := p.prepare()
	if err != nil {
		return nil, err
	}
	defer p.disconnect()
	trying, cancel := context.WithTimeoutCause(ctx, proofTimeout, fmt.Errorf("nginx or memcached is too slow: not done within %v", proofTimeout))
	defer cancel()
	report, err := p.try(trying, probes)
	if trying.Err() != nil {
		err = context.Cause(trying) // what try returns after that is not true
	}
	left := p.clean(ctx, probes)
	switch {
	case err != nil && len(left) > 0:
		return nil, fmt.Errorf("%w; left behind for %v at most: %s", err, canaryLife, strings.Join(left, ", "))
	case err != nil:
		return nil, err
	}
	report.Left = append(report.Left, left...)
	return report, nil
}

// prepare plans the canaries and opens what they are written with.
func (p *liveProof) prepare() ([]*probe, error) {
	if err := p.connect(); err != nil {
		return nil, err
	}
	p.makeCanary()
	p.makeRun()
	return p.plan()
}

// connect prepares what reads and writes the servers; disconnect ends it.
func (s *cacheServers) connect() (err error) {
	if s.ring, err = cachewriter.NewRing(s.method, s.servers...); err != nil {
		return fmt.Errorf("--memcached: %w", err)
	}
	s.live = s.ring.Pick("")
	s.directs = make(map[string]*cachewriter.Direct)
	for _, addr := range s.live {
		s.directs[addr] = cachewriter.NewDirect(addr, memcachedTimeout)
	}
	return nil
}

// makeRun makes the digits that the URLs of all canaries have.
func (p *liveProof) makeRun() {
	digits := make([]byte, 6)
	rand.Read(digits)
	p.runID = hex.EncodeToString(digits)
}

// makeCanary makes the page that is stored under all fresh URLs, and its value as a gateway
// makes it. The page compresses well.
func (p *liveProof) makeCanary() {
	p.marker = rand.Text()
	p.page = []byte("<!DOCTYPE html>\n<title>uwgate's canary</title>\n" +
		strings.Repeat("<p>Written by uwgate check --via, to be deleted at once.</p>\n", 8) +
		"<p>" + p.marker + "</p>\n")
	head := uwsgi.Response{StatusCode: 200, Reason: "OK", Header: uwsgi.Header{{Name: "Content-Type", Value: p.policy.Hits.Type}}}
	p.value = append(p.policy.StoredHead(&head, time.Now()), p.page...)
	if p.policy.Hits.Format == policy.FormatGzip {
		p.value, _ = cachewriter.Gzip(p.page)
		p.flags = p.policy.Hits.GzipFlag
	}
}

func (s *cacheServers) disconnect() {
	for _, w := range s.watchers {
		if w != nil {
			w.Close()
		}
	}
	for _, d := range s.directs {
		d.Close()
	}
}

// try tries both ways: the canaries that are written must be hits, and one that is not must
// come back through uwgate. Where nginx makes the keys, it is asked for them first.
func (p *liveProof) try(ctx context.Context, probes []*probe) (*liveReport, error) {
	p.hearing.announce(ctx, p.runID)
	if p.asksKeys() {
		if r, err := p.askKeys(ctx, probes); r != nil || err != nil {
			return r, err
		}
	}
	r, err := p.tryHits(ctx, probes)
	if err == nil {
		p.addMiss(ctx, r)
	}
	return r, err
}

// tryHits writes all canaries and requests them until one is no hit.
func (p *liveProof) tryHits(ctx context.Context, probes []*probe) (*liveReport, error) {
	for _, pr := range probes {
		switch err := p.write(ctx, pr); {
		case errors.Is(err, errTaken):
			return nil, err
		case err != nil:
			return p.unwritten(pr, err), nil
		}
	}
	for i, pr := range probes {
		if pr.response = p.get(ctx, pr); !p.isHit(pr.response) {
			return p.examine(ctx, probes, i), nil
		}
	}
	return p.reportHit(ctx, probes), nil
}

// errTaken says that there is an entry under the key of a canary.
var errTaken = errors.New("there is an entry already, which check does not replace; give another --via")

func (p *liveProof) write(ctx context.Context, pr *probe) error {
	for _, addr := range pr.servers {
		added, err := p.directs[addr].Add(ctx, pr.key, p.value, p.flags, canaryLife)
		if added || err != nil && !isDial(err) {
			// Without a response it may have been written.
			pr.written = append(pr.written, addr)
		}
		if err != nil {
			return err
		}
		if !added {
			return fmt.Errorf("%q on %s: %w", pr.key, addr, errTaken)
		}
	}
	return nil
}

// isDial reports whether err is a failed connection, so that nothing was sent.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// clean deletes the canaries, and what workers may have stored for their URLs where nginx
// looked; the gateway itself stores nothing (see requestLines). It also works if ctx is
// done. It returns what could not be deleted.
func (p *liveProof) clean(ctx context.Context, probes []*probe) (left []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	remove := func(addr, key string) {
		if err := p.directs[addr].Delete(ctx, key); err != nil {
			left = append(left, fmt.Sprintf("%q on %s (%v)", key, addr, err))
		}
	}
	if p.missing != nil {
		probes = append(probes, p.missing)
	}
	for _, pr := range probes {
		for _, addr := range pr.written {
			remove(addr, pr.key)
		}
		for _, l := range p.traces(pr) {
			remove(l.Server, l.Key)
		}
	}
	return left
}
