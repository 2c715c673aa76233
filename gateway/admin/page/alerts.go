package page

import (
	"fmt"
	"slices"
	"strings"

	"uwgate/gateway/admin"
	"uwgate/gateway/purge"
)

// States of what is shown.
const (
	bad  = "bad"
	warn = "warn"
	good = "good"
)

// An alert is something that needs attention, and what to do.
type alert struct{ State, Text string }

const (
	maxAlerts     = 20
	maxSameAlerts = 6 // of one kind
)

// alerts collects them by kind.
type alerts struct{ all []alert }

// add adds the alerts of one kind, not more than a few.
func (a *alerts) add(same ...alert) {
	slices.SortStableFunc(same, func(x, y alert) int { return rank(x.State) - rank(y.State) })
	if n := len(same) - maxSameAlerts; n > 0 {
		same = append(same[:maxSameAlerts], alert{same[maxSameAlerts].State, fmt.Sprintf("And %d more of this kind.", n)})
	}
	a.all = append(a.all, same...)
}

func (a *alerts) addIf(b bool, state, format string, args ...any) {
	if b {
		a.add(alert{state, fmt.Sprintf(format, args...)})
	}
}

// rank orders states, the worst first.
func rank(state string) int {
	switch state {
	case bad:
		return 0
	case warn:
		return 1
	}
	return 2
}

// alertsOf returns what needs attention, the worst first.
func alertsOf(in *input) []alert {
	s, sum := in.Status, recentSum(in)
	var a alerts
	a.addIf(!in.IsListening, bad, "uwgate accepts no requests: no listener is open.")
	a.add(poolAlerts(s.Pools)...)
	a.add(storeAlerts(s.Store)...)
	a.addIf(s.Reload.Error != "", bad, "The settings that were read last (%s UTC) are not in force: %s", s.Reload.At.UTC().Format("15:04:05"), s.Reload.Error)
	if state := stateOfErrors(&sum); state != "" {
		a.add(alert{state, fmt.Sprintf("%s of the responses in the last 5 minutes are 5xx.", percent(share(sum.Errors, sum.Requests)))})
	}
	a.addIf(s.Waiting > 0, warn, "%s for a free worker: there are too few workers, or they are slow.", plural(s.Waiting, "request waits", "requests wait"))
	a.add(boundAlerts(s.Bounds)...)
	a.add(hitAlerts(&s.Hits)...)
	a.add(purgeAlerts(s.Purges)...)
	a.addIf(s.Lost > 0, warn, "%s dropped: the disk or the reader of the log is too slow.", plural(s.Lost, "log line was", "log lines were"))
	slices.SortStableFunc(a.all, func(x, y alert) int { return rank(x.State) - rank(y.State) })
	if n := len(a.all) - maxAlerts; n > 0 {
		a.all = append(a.all[:maxAlerts], alert{a.all[maxAlerts].State, fmt.Sprintf("And %d more.", n)})
	}
	return a.all
}

func poolAlerts(pools []admin.PoolStatus) (all []alert) {
	for _, p := range pools {
		switch up, n := upOf(&p), len(p.Servers); {
		case n == 0:
			all = append(all, alert{bad, fmt.Sprintf("Pool %s has no server.", poolName(p.Name))})
		case up == 0:
			all = append(all, alert{bad, fmt.Sprintf("Pool %s: none of its %s is up.", poolName(p.Name), plural(n, "server", "servers"))})
		case up < n:
			all = append(all, alert{warn, fmt.Sprintf("Pool %s: %d of %d servers are down.", poolName(p.Name), n-up, n)})
		}
	}
	return all
}

func upOf(p *admin.PoolStatus) (up int) {
	for _, s := range p.Servers {
		if s.Up {
			up++
		}
	}
	return up
}

func storeAlerts(servers []admin.StorageStatus) (all []alert) {
	for _, m := range servers {
		switch {
		case !m.Up:
			all = append(all, alert{bad, fmt.Sprintf("memcached %s does not respond, and nothing is stored there. %s", m.Server, m.Error)})
		case m.Memcached != nil && m.Memcached.Error != "":
			all = append(all, alert{bad, fmt.Sprintf("memcached %s: %s", m.Server, m.Memcached.Error)})
		}
		if m.Owed+m.Purges > 0 {
			all = append(all, alert{warn, fmt.Sprintf("memcached %s: %s and %s are pending. Old pages may be served.", m.Server, plural(m.Owed, "delete", "deletes"), plural(m.Purges, "purge", "purges"))})
		}
	}
	return all
}

// nearBound is the share of a bound that needs attention.
const nearBound = 0.7

func boundAlerts(bounds []admin.BoundStatus) (all []alert) {
	for _, b := range bounds {
		if b.Limit > 0 && float64(b.Used) > nearBound*float64(b.Limit) {
			all = append(all, alert{warn, fmt.Sprintf("--%s: %s of the bound are used.", b.Setting, percent(float64(b.Used)/float64(b.Limit)))})
		}
	}
	return all
}

// maxLostLines is the share of nginx's lines that may be missing without an alert.
const maxLostLines = 0.001

func hitAlerts(h *admin.HitStatus) (all []alert) {
	n := h.Nginx
	if n == nil {
		return nil
	}
	if n.Last == nil {
		return []alert{{warn, "nginx has sent no line of its log yet (--hits-listen): hits are counted by memcached."}}
	}
	var total uint64
	for _, lines := range n.Lines {
		total += lines
	}
	for _, result := range []string{"lost", "malformed", "oversized", "forbidden"} {
		if share(n.Lines[result], total) > maxLostLines {
			all = append(all, alert{warn, fmt.Sprintf("%s of nginx’s log lines are not counted: %s (docs/hits.md).", percent(share(n.Lines[result], total)), result)})
		}
	}
	return all
}

func purgeAlerts(purges []purge.Purged) (all []alert) {
	for _, p := range purges {
		if p.Outcome == purge.Incomplete {
			all = append(all, alert{warn, fmt.Sprintf("The purge of %s at %s UTC is incomplete: a memcached server cannot tell which pages it has. The response to it and the log say more.", strings.Join(p.Purged, ", "), p.At.UTC().Format("15:04:05"))})
		}
	}
	return all
}
