package page

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"uwgate/gateway"
	"uwgate/gateway/admin"
	"uwgate/gateway/purge"
)

// Bounds of lists.
const (
	maxReasons = 40
	maxSavings = 15
	maxHosts   = 15
	maxPages   = 15
	maxSlow    = 10
	maxPurges  = 30
)

// pageTables are those of decisions, hosts, pages, purges and bounds.
func pageTables(in *input) []*table {
	s := in.Status
	all := []*table{reasonTable(s), savingTable(in.Report)}
	if s.Hits.Nginx != nil {
		all = append(all, hostTable(s.Hits.Nginx))
	}
	return append(all, hottestTable(in), slowTable(in), purgeTable(in), boundTable(s))
}

// byCount returns the words, those with the greatest counts first.
func byCount(m map[string]uint64) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
}

func reasonTable(s *admin.Status) *table {
	t := &table{ID: "verdicts", Title: "Verdicts by reason", Source: fromGateway, Head: columns("Reason", "#Requests", "#Share"), Empty: "No request has come yet.",
		Note: "Since the start: " + words(s.Verdicts) + ". docs/decisions.md explains each reason."}
	var total uint64
	for _, n := range s.Reasons {
		total += n
	}
	for _, reason := range byCount(s.Reasons) {
		if n := s.Reasons[reason]; n > 0 {
			t.Rows = append(t.Rows, row{text(reason), number(n), shareOf(n, total)})
		}
	}
	return t.cut(maxReasons, "other reasons")
}

// savingTable is what requests have cost that no page could be stored for, or with observe
// could have been.
func savingTable(r *admin.Report) *table {
	t := &table{ID: "savings", Title: "What could be saved", Source: fromGateway, Head: columns("Host", "Reason", "#Requests", "#Time of workers", "For example", "To do"), Empty: "No request has cost a worker time in vain.",
		Note: "Requests whose pages were not stored, and what they cost, since the start."}
	if r.Observe {
		t.Note = "With --observe nothing is stored: would be stored what has “yes”. All since the start."
		t.Head = slices.Insert(t.Head, 2, column{Name: "Would be stored"})
	}
	var all []gateway.Saving
	for _, s := range r.Savings {
		if r.Observe || !s.Stored {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b gateway.Saving) int { return cmp.Compare(b.Seconds, a.Seconds) })
	for _, s := range all {
		cells := row{long(s.Host), text(string(s.Reason)), number(s.Requests), figure(seconds(s.Seconds)), example(&s), long(cmp.Or(s.Fix, s.Detail))}
		if r.Observe {
			cells = slices.Insert(cells, 2, yes(s.Stored))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t.cut(maxSavings, "others, which cost less")
}

func yes(b bool) cell {
	if b {
		return flag("yes", good)
	}
	return text("no")
}

// example is the URL of a saving, which begins with the host.
func example(s *gateway.Saving) cell {
	if s.URL == "" {
		return text("–")
	}
	return linked("", s.URL)
}

func hostTable(n *admin.NginxStatus) *table {
	t := &table{ID: "hosts", Title: "Hosts", Source: fromNginx, Head: columns("Host", "#Hit ratio", "#Hits", "#Misses", "#memcached failed", "#Not looked up"), Empty: "nginx has sent no line yet."}
	for _, h := range n.Hosts {
		r := h.Requests
		t.Rows = append(t.Rows, row{long(h.Host), figure(ratioOf(h.Ratio)), number(r["hit"]), number(r["miss"]), trouble(r["failed"], warn), number(r["skipped"])})
	}
	for _, of := range []string{"hit", "miss"} {
		if q, ok := n.Latency[of]; ok {
			t.Note += "Of 100 requests with a " + of + ", 95 take at most " + seconds(q.P95) + " and half at most " + seconds(q.P50) + ". "
		}
	}
	return t.cut(maxHosts, "other hosts")
}

// hottestTable takes nginx's hits, else what memcached says was read last.
func hottestTable(in *input) *table {
	s := in.Status
	if n := s.Hits.Nginx; n != nil && len(n.Pages) > 0 {
		t := &table{ID: "hottest", Title: "Hottest pages", Source: fromNginx, Note: "Hits of the last 5 to 10 minutes.", Head: columns("Page", "#Hits")}
		for _, p := range n.Pages {
			t.Rows = append(t.Rows, row{linked(p.Host, p.URI), number(p.Hits)})
		}
		return t.cut(maxPages, "other pages")
	}
	t := &table{ID: "hottest", Title: "Pages that were read last", Source: "memcached’s list of entries", Note: "With --hits-listen, here are the pages with the most hits.",
		Head: columns("Page", "#Size", "#Read", "#Expires in", "memcached"), Empty: "No page that is stored has been read."}
	if s.Stored == nil {
		return t
	}
	for _, p := range s.Stored.Hottest {
		t.Rows = append(t.Rows, row{linked(p.Host, p.URI), figure(bytesOf(p.Bytes)), figure(ago(in.Now, p.Read)), figure(left(in.Now, p.Expires)), long(p.Server)})
	}
	return t.cut(maxPages, "other pages")
}

func left(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return uptime(max(0, int64(t.Sub(now)/time.Second)))
}

func slowTable(in *input) *table {
	t := &table{ID: "slowest", Title: "Slowest requests", Source: fromGateway, Note: "Of the last half hour to hour.",
		Head: columns("Page", "Method", "#Status", "#Took", "#First byte", "#Waited", "Reason", "Server", "#Ended"), Empty: "No request has been served by a worker."}
	for _, r := range in.Status.Slowest {
		t.Rows = append(t.Rows, row{
			linked(r.Host, r.URI), text(clip(r.Method, 20)), figure(count(r.Status)), figure(seconds(r.Took)), figure(seconds(r.FirstByte)), figure(seconds(r.Queued)),
			text(string(r.Reason)), long(r.Backend), figure(ago(in.Now, r.At)),
		})
	}
	return t.cut(maxSlow, "others")
}

// purgeTable has the purges that are under way first.
func purgeTable(in *input) *table {
	t := &table{ID: "purges", Title: "Purges", Source: fromGateway, Note: "Those that are under way, then the last ones.",
		Head: columns("What", "State", "Mode", "#Found", "#Deleted", "#Took", "#Began", "By"), Empty: "Nothing has been purged since the start."}
	for _, p := range in.Status.Purges {
		t.Rows = append(t.Rows, row{
			long(strings.Join(p.Purged, ", ")), purgeState(p.Outcome), text(p.Mode), number(p.Found), number(p.Deleted), figure(seconds(p.Took)), figure(ago(in.Now, p.At)),
			long(strings.TrimSpace(p.Via + " " + p.Client)),
		})
	}
	return t.cut(maxPurges, "others")
}

func purgeState(outcome string) cell {
	switch outcome {
	case "":
		return flag("under way", warn)
	case purge.Done:
		return flag(outcome, good)
	}
	return flag(outcome, warn)
}
