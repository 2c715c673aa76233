package cachewriter

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The purge log is the tombstone of wide purges: it lists those of the last 15 minutes,
// with their times. Every Writer reads it with the tombstones of its pages, before and
// after it writes them. A page that was requested before a purge that matches it is not
// stored.
//
// The value is "1 ", the process that has changed it last, that process's wall clock in
// nanoseconds of Unix time, and a newline. Then each purge is a netstring: its process,
// wall clock, time since that process began, how often its clock was moved and the kind of
// the scope, each with a space after it; and host, URI and tag as netstrings.
//
// Clocks of gateways may differ by hours. All purges in the log have the clock of the
// process that has changed it last: whoever changes the log compares that clock with its
// own by the age of the value in memcached, and moves the times if they differ. Each move
// may be wrong by clockError.
//
// The log lies under several keys with the same content. A proxy spreads them over its
// servers, so that one dead server does not keep all pages from being stored.

const (
	purgeLogForm = "1 "

	// maxPurgeLog bounds a log, in bytes. If it grows larger, the older half of its purges
	// becomes one that matches all pages.
	maxPurgeLog = 8 << 10

	// maxLoggedScope bounds a scope in the log. A larger one becomes ScopeAll.
	maxLoggedScope = 1 << 10

	// purgeLogCopies is how many keys the log has.
	purgeLogCopies = 8
)

// A loggedPurge is one wide purge.
type loggedPurge struct {
	tombstone
	moves int // how often the wall clock was moved
	scope Scope
}

// A purgeLog is the content of a log's value.
type purgeLog struct {
	process string // that has changed it last
	wall    int64  // when, by its clock, in nanoseconds of Unix time
	purges  []loggedPurge
}

func (l *purgeLog) append(b []byte) []byte {
	b = append(b, purgeLogForm...)
	b = append(b, l.process...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, l.wall, 10)
	b = append(b, '\n')
	for _, p := range l.purges {
		b = appendNetstring(b, string(p.append(nil)))
	}
	return b
}

func (p loggedPurge) append(b []byte) []byte {
	b = append(b, p.process...)
	for _, n := range [...]int64{p.wall, int64(p.since), int64(p.moves)} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	b = append(b, ' ')
	b = append(b, p.scope.Kind...)
	b = append(b, ' ')
	for _, part := range [...]string{p.scope.Host, p.scope.URI, p.scope.Tag} {
		b = appendNetstring(b, part)
	}
	return b
}

func parsePurgeLog(value string) (l *purgeLog, ok bool) {
	head, rest, ok := strings.Cut(value, "\n")
	head, isKnown := strings.CutPrefix(head, purgeLogForm)
	process, wall, ok2 := strings.Cut(head, " ")
	n, err := strconv.ParseInt(wall, 10, 64)
	if !ok || !isKnown || !ok2 || err != nil {
		return nil, false
	}
	l = &purgeLog{process: process, wall: n}
	for rest != "" {
		var text string
		if text, rest, ok = cutNetstring(rest); !ok {
			return nil, false
		}
		p, ok := parseLoggedPurge(text)
		if !ok {
			return nil, false
		}
		l.purges = append(l.purges, p)
	}
	return l, true
}

func parseLoggedPurge(text string) (p loggedPurge, ok bool) {
	words := strings.SplitN(text, " ", 6)
	if len(words) != 6 {
		return p, false
	}
	wall, err1 := strconv.ParseInt(words[1], 10, 64)
	since, err2 := strconv.ParseInt(words[2], 10, 64)
	moves, err3 := strconv.ParseUint(words[3], 10, 16)
	p = loggedPurge{tombstone{words[0], wall, time.Duration(since)}, int(moves), Scope{Kind: ScopeKind(words[4])}}
	rest, ok := words[5], err1 == nil && err2 == nil && err3 == nil && p.scope.Kind.isKnown()
	for _, part := range [...]*string{&p.scope.Host, &p.scope.URI, &p.scope.Tag} {
		if ok {
			*part, rest, ok = cutNetstring(rest)
		}
	}
	return p, ok && rest == ""
}

// isKnown reports whether a kind is of this version. A later version may have others.
func (k ScopeKind) isKnown() bool {
	return slices.Contains([]ScopeKind{ScopeAll, ScopeSite, ScopePrefix, ScopePath, ScopeURL, ScopeTag}, k)
}

// add adds purges, removes those that are covered by others or too old at now, and keeps
// the log within its bound.
func (l *purgeLog) add(now int64, purges []loggedPurge) {
	for _, p := range purges {
		if len(p.append(nil)) > maxLoggedScope {
			p.scope = Scope{Kind: ScopeAll}
		}
		if slices.ContainsFunc(l.purges, func(o loggedPurge) bool { return o.outlasts(p) }) {
			continue
		}
		l.purges = slices.DeleteFunc(l.purges, p.outlasts)
		l.purges = append(l.purges, p)
	}
	l.purges = slices.DeleteFunc(l.purges, func(p loggedPurge) bool { return now-p.wall > int64(tombstoneLife) })
	for len(l.purges) > 1 && len(l.append(nil)) > maxPurgeLog {
		l.mergeOldest()
	}
}

// slack is how far the wall clock of a purge may differ from the clock of whoever compares
// it.
func (p loggedPurge) slack() time.Duration {
	return max(clockSkew, time.Duration(p.moves)*clockError)
}

// outlasts reports whether p forbids all that o forbids, for every reader.
func (p loggedPurge) outlasts(o loggedPurge) bool {
	if p.scope.Kind != ScopeAll && p.scope != o.scope {
		return false
	}
	if p.process == o.process && p.since >= o.since {
		return p.wall+int64(p.slack()) >= o.wall+int64(o.slack())
	}
	return p.wall-int64(p.slack()) >= o.wall+int64(o.slack())
}

// mergeOldest makes one purge of all pages of the older half.
func (l *purgeLog) mergeOldest() {
	slices.SortStableFunc(l.purges, func(a, b loggedPurge) int { return int(min(max(a.wall-b.wall, -1), 1)) })
	half := (len(l.purges) + 1) / 2
	all := loggedPurge{tombstone: l.purges[half-1].tombstone, scope: Scope{Kind: ScopeAll}}
	for _, p := range l.purges[:half] {
		all.moves = max(all.moves, p.moves)
		all.since = max(all.since, p.since)
		if p.process != all.process {
			all.process = noProcess // readers compare wall clocks
		}
	}
	l.purges = append([]loggedPurge{all}, l.purges[half:]...)
}

// noProcess is the process of a purge that stands for those of several.
const noProcess = "-"

// moveTo makes the log that of another process, whose clock is ahead by that much.
func (l *purgeLog) moveTo(to process, ahead time.Duration) {
	l.process = to.id
	if ahead == 0 {
		return
	}
	for i := range l.purges {
		p := &l.purges[i]
		if p.process == to.id {
			p.wall, p.moves = to.began.Add(p.since).UnixNano(), 0
			continue
		}
		p.wall += int64(ahead)
		p.moves++
	}
}

// ahead returns how far our clock is ahead of the clock of the log's process: 0 if they
// do not differ by more than can be measured. age is the age of the log by memcached.
func (l *purgeLog) ahead(age time.Duration, now time.Time) time.Duration {
	ahead := tombstone{wall: l.wall}.byClock(now) - age
	if ahead.Abs() <= clockError {
		return 0
	}
	return ahead
}

// forbids reports whether the log has a purge of a page that was requested at began.
func (l *purgeLog) forbids(own process, page Subject, began time.Time, ahead time.Duration) bool {
	for _, p := range l.purges {
		if p.covers(own, began, ahead) && p.scope.Matches(page) {
			return true
		}
	}
	return false
}

// covers reports whether a purge came after began. It is exact for purges of this process.
func (p loggedPurge) covers(own process, began time.Time, ahead time.Duration) bool {
	if p.process == own.id {
		return own.covers(p.tombstone, began)
	}
	if ahead != 0 {
		p.wall += int64(ahead)
		p.moves++
	}
	return p.wall+int64(p.slack()) >= began.UnixNano()
}
