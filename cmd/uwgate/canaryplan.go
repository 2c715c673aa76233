package main

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"uwgate/cachewriter"
	"uwgate/uwsgi"
)

const (
	perServer  = 16   // canaries: with another hash or list, nginx looks for some of them elsewhere
	maxProbes  = 512  // canaries: a gateway keeps no more
	planTries  = 2000 // to find keys for every server
	canaryName = "uwgate-canary-"
)

// A probe is one canary, and what is known of it.
type probe struct {
	token    string // in the URL, and in no other
	scheme   string
	host     string   // where to connect to, as in the URL
	target   string   // as it stands in the request line
	lines    []string // of the request's head
	key      string   // raw
	servers  []string // where uwgate writes it
	written  []string // where it may be stored
	response response // the last one
	missed   *arrival // of the request before it was written; nil: there was none
}

func (pr *probe) url() string { return pr.scheme + "://" + pr.host + pr.target }

// plan makes the canaries, as many for each server.
func (p *liveProof) plan() ([]*probe, error) {
	if len(p.live) == 0 {
		return nil, errors.New("--memcached: every server is marked down; there is nowhere to write a canary")
	}
	var probes []*probe
	count, each := map[string]int{}, max(min(perServer, maxProbes/len(p.live)), 1)
	for range planTries {
		if len(probes) == each*len(p.live) {
			break
		}
		pr, err := p.newProbe()
		if err != nil {
			return nil, err
		}
		if p.keyless {
			probes = append(probes, pr)
			continue
		}
		if len(probes) > 0 && pr.key == probes[0].key {
			return nil, sameKey(pr)
		}
		place := strings.Join(pr.servers, " ")
		if count[place] < each*len(pr.servers) {
			count[place]++
			probes = append(probes, pr)
		}
	}
	return probes, nil
}

// sameKey is the error for a key that several canaries have.
func sameKey(pr *probe) error {
	return fmt.Errorf("--via: the key %q is that of every URL in this folder, so a canary could be in the way of a page; "+
		"give --key as in nginx's set $memcached_key, or another URL", pr.key)
}

func (p *liveProof) newProbe() (*probe, error) {
	pr := &probe{token: fmt.Sprintf("%s%04x", p.runID, p.named)}
	p.named++
	if err := p.request(pr); err != nil {
		return nil, fmt.Errorf("--via: %w", err)
	}
	return pr, p.expandKey(pr)
}

// expandKey makes the key as uwgate would, if nginx did not hand it over.
func (p *liveProof) expandKey(pr *probe) error {
	if p.keyless {
		return nil
	}
	vars, err := pr.vars()
	if err != nil {
		return fmt.Errorf("--via: %w", err)
	}
	key, err := p.policy.Keys.Template.Expand(vars)
	if err != nil {
		return fmt.Errorf("--via: key of %s: %w", pr.url(), err)
	}
	return p.setKey(pr, key)
}

// setKey sets the key, and chooses the servers by it.
func (s *cacheServers) setKey(pr *probe, key string) error {
	if err := cachewriter.CheckKey(cachewriter.Escape(key)); err != nil {
		return fmt.Errorf("--via: key of %s: %w; give a URL with a shorter path", pr.url(), err)
	}
	pr.key, pr.servers = key, s.ring.Pick(key)
	return nil
}

// request makes the request of a canary.
func (v *visitor) request(pr *probe) error {
	if strings.HasPrefix(v.via, "/") {
		return fmt.Errorf("write a URL with nginx's address, as in http://127.0.0.1%s", v.via)
	}
	var target string
	var err error
	if pr.scheme, pr.host, target, err = splitURL(v.via); err != nil {
		return err
	}
	pr.target = freshTarget(target, canaryName+pr.token)
	pr.lines, err = requestLines(pr.host, v.encoding(), v.headers)
	return err
}

// freshTarget returns a target with name in the folder of another target. It keeps the
// extension, by which nginx may choose location and type, and the query.
func freshTarget(target, name string) string {
	file, query, hasQuery := strings.Cut(target, "?")
	fresh := file[:strings.LastIndexByte(file, '/')+1] + name + path.Ext(file)
	if hasQuery {
		fresh += "?" + query
	}
	return fresh
}

// vars returns the vars that nginx makes of the canary's request.
func (pr *probe) vars() (uwsgi.Vars, error) {
	headers, err := parseHeaders(pr.lines)
	if err != nil {
		return nil, err
	}
	vars, err := requestVars("GET", pr.url(), headers)
	if err != nil {
		return nil, err
	}
	// A Host header names the site; the port is that of nginx.
	_, port := pr.address()
	for i := range vars {
		if vars[i].Name == "SERVER_PORT" {
			vars[i].Value = port
		}
	}
	return vars, nil
}

// address returns where to connect to.
func (pr *probe) address() (name, port string) {
	u := url.URL{Host: pr.host}
	switch {
	case u.Port() != "":
		return u.Hostname(), u.Port()
	case pr.scheme == "https":
		return u.Hostname(), "443"
	}
	return u.Hostname(), "80"
}
