package main

import (
	"cmp"
	"fmt"
	"io"

	"uwgate/cachewriter"
)

// An outcome is the result of a live proof: hit, or what is wrong.
type outcome string

const (
	liveHit   outcome = "hit"
	offKey    outcome = "key"    // nginx looks under another key
	offServer outcome = "server" // nginx looks on another memcached
	offFormat outcome = "format" // nginx finds the page and makes something else of it
	offReach  outcome = "reach"  // nginx or memcached does not respond, or not with this page
	offLookup outcome = "lookup" // nginx asks none of our memcacheds
	offMiss   outcome = "miss"   // no hit, and our memcacheds do not report why

	offGateway outcome = "gateway" // what is not in memcached does not come back through uwgate
	offStore   outcome = "store"   // it does, and uwgate would not store it
)

// headlines are the outcomes for people.
var headlines = map[outcome]string{
	liveHit: "Hit", offKey: "The key is off", offServer: "The server is off", offFormat: "The format is off",
	offReach: "Out of reach", offLookup: "No lookup", offMiss: "No hit",
	offGateway: "Not through uwgate", offStore: "Never stored",
}

// A liveReport is what `check --via` has found. Its JSON form is read by scripts:
// names stay.
type liveReport struct {
	Outcome  outcome      `json:"outcome"`
	Summary  string       `json:"summary"`
	URL      string       `json:"url"`     // of the canary that the report is about: the first that was no hit
	Key      string       `json:"key"`     // raw, as uwgate makes it
	Wire     string       `json:"wire"`    // the same as it stands in a get
	Servers  []string     `json:"servers"` // where uwgate writes it
	Format   string       `json:"format"`
	Status   int          `json:"status"` // of nginx's response; 0 if there was none
	Answer   string       `json:"answer"` // empty if nginx was not asked
	Asked    []liveLookup `json:"asked"`  // what memcached was asked for on behalf of that URL
	Tried    int          `json:"tried"`  // canaries that nginx was asked for
	Hits     int          `json:"hits"`
	Miss     *liveMiss    `json:"miss"` // the canary that was not written; null if none was requested
	Evidence []string     `json:"evidence"`
	ToDo     []string     `json:"todo"`
	Warnings []string     `json:"warnings"`
	Left     []string     `json:"left"` // what could not be deleted
}

// A liveLookup is what one memcached was asked for.
type liveLookup struct {
	Server string `json:"server"`
	Key    string `json:"key"` // raw
	Found  bool   `json:"found"`
}

// report returns the report on a canary, without an outcome. Its lists are not nil, so that
// they are lists in JSON.
func (p *liveProof) report(pr *probe) *liveReport {
	r := &liveReport{
		URL: pr.url(), Key: pr.key, Wire: cachewriter.Escape(pr.key), Servers: pr.servers,
		Format: string(p.policy.Hits.Format), Status: pr.response.status,
		Asked: []liveLookup{}, Evidence: []string{}, ToDo: []string{}, Warnings: []string{}, Left: []string{},
	}
	if pr.response.status != 0 || pr.response.err != nil {
		r.Answer = pr.response.String()
	}
	return r
}

func (r *liveReport) is(o outcome, summary string, args ...any) {
	r.Outcome, r.Summary = o, fmt.Sprintf(summary, args...)
}

func (r *liveReport) evidence(format string, args ...any) {
	r.Evidence = append(r.Evidence, fmt.Sprintf(format, args...))
}

func (r *liveReport) todo(format string, args ...any) {
	r.ToDo = append(r.ToDo, fmt.Sprintf(format, args...))
}

func (r *liveReport) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// hit reports whether nothing is wrong.
func (r *liveReport) hit() bool { return r.Outcome == liveHit }

// write prints the report for people, with the keys below each other.
func (r *liveReport) write(w io.Writer) error {
	var s sheet
	s.section("Live proof", len("uwgate writes"))
	s.value("canary", r.URL)
	s.value("uwgate writes", cmp.Or(r.Key, "nothing"))
	if r.Wire != r.Key {
		s.value("on the wire", r.Wire)
	}
	for i, server := range r.Servers {
		s.value(onlyFirst(i, "to"), server)
	}
	for _, l := range r.Asked {
		s.value("nginx asks", l.Key)
		s.value("", fmt.Sprintf("of %s, which %s it", l.Server, yesNo(l.Found, "has", "does not have")))
	}
	s.row("format", r.Format)
	if r.Answer != "" {
		s.row("response", r.Answer)
	}
	r.Miss.write(&s)
	for _, part := range []struct {
		label string
		texts []string
	}{{"seen", r.Evidence}, {"to do", r.ToDo}, {"warning", r.Warnings}, {"left behind", r.Left}} {
		for _, text := range part.texts {
			s.row(part.label, sentence(text))
		}
	}
	_, err := fmt.Fprintf(w, "%s\n%s: %s\n", s.String(), headlines[r.Outcome], sentence(r.Summary))
	return err
}

// write prints what became of the canary that is in no memcached.
func (m *liveMiss) write(s *sheet) {
	switch {
	case m == nil:
		return
	case !m.Through:
		s.row("miss", "not through uwgate: "+m.Answer)
		return
	case !m.Told:
		s.row("miss", "came back through uwgate: "+m.Answer)
		return
	}
	s.row("miss", fmt.Sprintf("came to uwgate with CACHE_STATUS %q, CACHE_SERVER %q; the key is %s", m.Lookup, m.Server, sourceOf(m.Source)))
}
