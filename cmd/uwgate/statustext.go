package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/admin"
)

// maxStatusRows is how many rows of a table are printed without --all.
const maxStatusRows = 20

// A statusText writes a status for people.
type statusText struct {
	*tabwriter.Writer
	*admin.Status
	settings.Watch
}

// writeStatus writes a status for people: what is wrong first.
func writeStatus(w io.Writer, s *admin.Status, what settings.Watch) error {
	t := &statusText{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), s, what}
	t.writeHead()
	t.writeHosts()
	t.writeServers()
	t.writeMemcached()
	t.writePurges()
	t.writeSlowest()
	return t.Flush()
}

func (t *statusText) line(format string, args ...any) {
	io.WriteString(t, tame(fmt.Sprintf(format, args...))+"\n")
}

// tame replaces control characters, which a URL or an error may have, and which a
// terminal obeys. Tabs and line ends stay.
func tame(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && r != '\n' && (r < ' ' || 0x7f <= r && r < 0xa0) {
			return '?'
		}
		return r
	}, text)
}

func (t *statusText) writeHead() {
	s := t.Status
	t.line("uwgate %s, up %v", cmp.Or(s.Version, "(devel)"), time.Duration(s.Seconds)*time.Second)
	if s.Observe {
		t.line("--observe is in force: nothing is stored")
	}
	if s.Reload.Error != "" {
		t.line("the settings were not reloaded at %s; the old ones are in force: %s", s.Reload.At.Format(time.DateTime), s.Reload.Error)
	}
	if s.Lost > 0 {
		t.line("%d log lines were dropped: their sink is too slow", s.Lost)
	}
	for _, b := range s.Bounds {
		if b.Limit > 0 && 10*b.Used > 7*b.Limit {
			t.line("%d of %d %s are used: --%s bounds them", b.Used, b.Limit, b.Unit, b.Setting)
		}
	}
	t.line("")
	t.line("hit ratio\t%s", hitLine(&s.Hits))
	t.line("requests\t%s; %d in flight, %d wait for a server", counts(s.Requests), s.InFlight, s.Waiting)
	t.line("verdicts\t%s", counts(s.Verdicts))
	t.line("decisions\t%s", t.some(s.Reasons))
	t.line("first byte\t%s", latencyLine(s.Latency["first_byte"]))
	if q := s.Latency["queued"]; q.Count > 0 {
		t.line("queued\t%s", latencyLine(q))
	}
	t.line("flights\t%d under way, %d requests wait; ended %s", s.Flights, s.Followers, counts(s.Coalesced))
	if r := s.Refresh; r != nil {
		t.line("refresh\t%d pages known, %d being fetched; %s", r.Pages, r.Fetching, counts(r.Events))
	}
	t.line("stale copies\t%s", counts(s.Copies))
}

// hitLine says how many lookups are hits, and who counts them.
func hitLine(h *admin.HitStatus) string {
	source := map[string]string{
		admin.SourceNginx: "nginx's access log", admin.SourceMemcached: "memcached's own counters, with all its clients; --hits-listen counts pages",
	}[h.Source]
	switch {
	case h.Source == "":
		return "not known: neither nginx (--hits-listen) nor memcached tells"
	case h.Ratio == nil:
		return "no lookup yet (" + source + ")"
	}
	text := fmt.Sprintf("%s of %d lookups (%s)", percent(h.Ratio), h.Hits+h.Misses, source)
	if n := h.Nginx; n != nil {
		if bad := n.Lines["malformed"] + n.Lines["oversized"] + n.Lines["forbidden"]; bad > 0 {
			text += fmt.Sprintf("; %d lines could not be used", bad)
		}
		if lost := n.Lines["lost"]; lost > 0 {
			text += fmt.Sprintf("; %d lines were lost", lost)
		}
	}
	return text
}

func percent(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100**share)
}

func latencyLine(q admin.Quantiles) string {
	if q.Count == 0 {
		return "none yet"
	}
	return fmt.Sprintf("mean %s, half within %s, 95 %% within %s, 99 %% within %s", seconds(q.Mean), seconds(q.P50), seconds(q.P95), seconds(q.P99))
}

// seconds writes a time with about three digits.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// shows reports whether --only selects one of the names.
func (t *statusText) shows(names ...string) bool { return selects(t.Only, names...) }

func selects(globs []string, names ...string) bool {
	return len(globs) == 0 || slices.ContainsFunc(globs, func(glob string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			ok, _ := path.Match(glob, name)
			return ok || glob == name
		})
	})
}

// rows returns how many of n rows are printed.
func (t *statusText) rows(n int) int {
	if t.All {
		return n
	}
	return min(n, maxStatusRows)
}

func (t *statusText) writeHosts() {
	if t.Hits.Nginx == nil {
		return
	}
	var hosts []admin.HostStatus
	for _, h := range t.Hits.Nginx.Hosts {
		if t.shows(h.Host) {
			hosts = append(hosts, h)
		}
	}
	if len(hosts) == 0 {
		return
	}
	t.line("\nhost\thit ratio\thits\tmisses\tfailed\tnot looked up\tsent\tmean of a hit\tof a miss")
	for _, h := range hosts[:t.rows(len(hosts))] {
		var sent uint64
		for _, n := range h.Bytes {
			sent += n
		}
		t.line("%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s", cmp.Or(h.Host, "(none)"), percent(h.Ratio), h.Requests["hit"], h.Requests["miss"], h.Requests["failed"], h.Requests["skipped"],
			byteCount(int64(sent)), meanOf(h.Seconds["hit"], h.Requests["hit"]), meanOf(h.Seconds["miss"], h.Requests["miss"]))
	}
	t.more(len(hosts), "hosts")
}

func meanOf(sum float64, n uint64) string {
	if n == 0 {
		return "-"
	}
	return seconds(sum / float64(n))
}

// more says how many rows are left out.
func (t *statusText) more(n int, what string) {
	if left := n - t.rows(n); left > 0 {
		t.line("and %d more %s; --all prints them, --only GLOB selects some", left, what)
	}
}

// A poolServer is a server with its pool.
type poolServer struct {
	pool string
	admin.ServerStatus
}

// worst orders servers: those that are down first, then those with errors, then the busiest.
func worst(a, b poolServer) int {
	rank := func(s poolServer) int {
		switch {
		case !s.Up:
			return 0
		case s.Errors+s.Busy > 0:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.InFlight, a.InFlight), cmp.Compare(b.Errors, a.Errors), cmp.Compare(b.Requests, a.Requests),
		strings.Compare(a.pool, b.pool), strings.Compare(a.Name, b.Name))
}

func (t *statusText) writeServers() {
	var servers []poolServer
	var queues []admin.PoolStatus
	down := 0
	for _, p := range t.Pools {
		name := cmp.Or(p.Name, "default")
		if t.shows(name) && (p.Waiting > 0 || p.QueueFull+p.QueueTimeouts > 0) {
			p.Name = name
			queues = append(queues, p)
		}
		for _, s := range p.Servers {
			if t.shows(name, s.Name) {
				servers = append(servers, poolServer{name, s})
				if !s.Up {
					down++
				}
			}
		}
	}
	slices.SortStableFunc(servers, worst)
	slices.SortStableFunc(queues, func(a, b admin.PoolStatus) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(b.QueueFull+b.QueueTimeouts, a.QueueFull+a.QueueTimeouts))
	})
	if len(queues) > 0 {
		t.line("\nqueue of the pool\twaiting\trefused: full\trefused: waited too long")
		for _, p := range queues[:t.rows(len(queues))] {
			t.line("%s\t%d\t%d\t%d", p.Name, p.Waiting, p.QueueFull, p.QueueTimeouts)
		}
		t.more(len(queues), "pools")
	}
	if len(servers) == 0 {
		return
	}
	t.line("\nbackend (%d, %d down)\tpool\tstate\tin flight\trequests\tconnect errors\tbusy", len(servers), down)
	for _, s := range servers[:t.rows(len(servers))] {
		t.line("%s\t%s\t%s\t%d\t%d\t%d\t%d", s.Name, s.pool, state(s.Up), s.InFlight, s.Requests, s.Errors, s.Busy)
	}
	t.more(len(servers), "servers")
}

func (t *statusText) writeMemcached() {
	var servers []admin.StorageStatus
	for _, m := range t.Store {
		if t.shows(m.Server) {
			servers = append(servers, m)
		}
	}
	if len(servers) == 0 {
		return
	}
	slices.SortStableFunc(servers, func(a, b admin.StorageStatus) int {
		trouble := func(m admin.StorageStatus) int {
			switch {
			case !m.Up || m.Memcached != nil && m.Memcached.Error != "":
				return 0
			case m.Owed+m.Purges > 0 || m.Error != "":
				return 1
			}
			return 2
		}
		return cmp.Compare(trouble(a), trouble(b))
	})
	t.line("\nmemcached\tstate\thit ratio\tentries\tmemory\tevicted\tqueued\tstored\trefused\tdropped\tfailed\tdeletes\tpending deletes\tpending purges")
	for _, m := range servers[:t.rows(len(servers))] {
		ratio, items, memory, evicted := "-", "-", "-", "-"
		if in := m.Memcached; in != nil && in.Error == "" {
			ratio, items, evicted = percent(in.Ratio), fmt.Sprint(in.Items), fmt.Sprint(in.Evictions)
			if in.Limit > 0 {
				memory = fmt.Sprintf("%d %% of %s", 100*in.Bytes/in.Limit, byteCount(int64(in.Limit)))
			}
		}
		t.line("%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d", m.Server, state(m.Up), ratio, items, memory, evicted, m.Queued, m.Stored, m.Refused, m.Dropped, m.Failed, m.Deletes, m.Owed, m.Purges)
		if m.Error != "" {
			t.line("(last error)\t%s", m.Error)
		}
	}
	t.more(len(servers), "memcached servers")
}

// writePurges writes the purges that are under way and the last ones.
func (t *statusText) writePurges() {
	if len(t.Purges) == 0 {
		return
	}
	t.line("\npurge\tat\tclient\tvia\toutcome\tfound\tdeleted\ttook")
	for _, p := range t.Purges {
		what := p.Mode + " " + cmp.Or(strings.Join(p.Purged[:min(len(p.Purged), 1)], ""), "nothing")
		if n := len(p.Purged); n > 1 {
			what += fmt.Sprintf(", +%d", n-1)
		}
		t.line("%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s", printable(what), p.At.Local().Format(time.TimeOnly), cmp.Or(p.Client, "-"), p.Via, cmp.Or(p.Outcome, "running"), p.Found, p.Deleted, seconds(p.Took))
	}
}

// maxSlowest is how many of the slowest requests are printed without --all.
const maxSlowest = 5

func (t *statusText) writeSlowest() {
	var slow []string
	for _, r := range t.Slowest {
		if t.shows(r.Host, r.Pool, r.Backend) {
			slow = append(slow, fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%s", printable(r.Method+" "+r.Host+r.URI), seconds(r.Took), seconds(r.FirstByte), r.Status, r.Pool, r.Reason))
		}
	}
	if len(slow) == 0 {
		return
	}
	if !t.All {
		slow = slow[:min(len(slow), maxSlowest)]
	}
	t.line("\nslowest in the last half hour to hour\ttook\tfirst byte\tstatus\tpool\treason")
	for _, s := range slow {
		t.line("%s", s)
	}
}

func state(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

// some lists the ten most frequent words.
func (t *statusText) some(m map[string]uint64) string {
	const most = 10
	if t.All || len(m) <= most {
		return counts(m)
	}
	words := byCount(m)
	left := maps.Clone(m)
	var rest uint64
	for _, word := range words[most:] {
		rest += m[word]
		delete(left, word)
	}
	return fmt.Sprintf("%s, %d others %d", counts(left), len(words)-most, rest)
}

// byCount returns the words, the most frequent first.
func byCount(m map[string]uint64) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
}

// counts lists counters by word, the largest first.
func counts(m map[string]uint64) string {
	if len(m) == 0 {
		return "none"
	}
	words := byCount(m)
	for i, word := range words {
		words[i] = fmt.Sprintf("%s %d", word, m[word])
	}
	return strings.Join(words, ", ")
}
