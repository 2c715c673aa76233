//go:build linux

package main

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
)

// explain says where the time of a trial's requests goes, or how much of the machine
// they take. It is empty if neither was measured.
func (t *trial) explain(all results, where map[string]split) section {
	switch {
	case t.share > 0:
		return section{t.name, t.carried(all, runtime.NumCPU())}
	case where != nil:
		return section{t.name, t.spending(all, where)}
	}
	return section{}
}

// spending says where the time goes.
func (t *trial) spending(all results, where map[string]split) string {
	among := t.among
	if !slices.Contains(among, netRelay) {
		among = append(slices.Clip(among), netRelay)
	}
	ours := where[uwgate].of(cpuRequest.median(all[uwgate]))
	relays := where[netRelay].of(cpuRequest.median(all[netRelay]))
	text := fmt.Sprintf("%s\n%s\n%s%s", sides(among, all), compareSpent(ours, relays), mostOfIt(ours, relays), beside(all))
	if why := cmp.Or(failed(uwgate, all), failed(netRelay, all)); why != "" {
		text += "But " + why + ", which cost it nothing.\n"
	}
	return text
}

// sides divides the CPU time of a request into user and system time.
func sides(among []string, all results) table {
	t := table{{"target", cpuRequest.name, user.name, system.name}}
	for _, name := range among {
		line := []string{name}
		for _, m := range []measure{cpuRequest, user, system} {
			line = append(line, m.text(m.median(all[name])))
		}
		t = append(t, line)
	}
	return t
}

// A spent is the cost of a request by category, in nanoseconds.
type spent map[string]float64

// of divides cpu, in nanoseconds, by the shares.
func (s split) of(cpu float64) spent {
	all := make(spent)
	for category, share := range s {
		all[category] = share * cpu
	}
	return all
}

func (s spent) sum() (sum float64) {
	for _, ns := range s {
		sum += ns
	}
	return sum
}

// compareSpent has a line for each category, uwgate's most expensive first.
func compareSpent(ours, relays spent) table {
	t := table{{"µs a request", uwgate, netRelay, "difference"}}
	for _, category := range dearest(ours, relays, func(c string) float64 { return ours[c] }) {
		t.add(category, asMicros(ours[category]), asMicros(relays[category]), asMicros(ours[category]-relays[category]))
	}
	t.add("all", asMicros(ours.sum()), asMicros(relays.sum()), asMicros(ours.sum()-relays.sum()))
	return t
}

// dearest returns the categories of both, the most expensive first.
func dearest(a, b spent, of func(category string) float64) []string {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return slices.SortedFunc(maps.Keys(both), func(c, d string) int {
		return cmp.Or(cmp.Compare(of(d), of(c)), strings.Compare(c, d))
	})
}

// mostOfIt names the largest differences in a sentence.
func mostOfIt(ours, relays spent) string {
	more := ours.sum() - relays.sum()
	if more <= 0 {
		return fmt.Sprintf("uwgate takes %s µs less than the bare relay.\n", asMicros(-more))
	}
	difference := func(c string) float64 { return ours[c] - relays[c] }
	var largest []string
	for _, c := range dearest(ours, relays, difference)[:min(3, len(ours))] {
		largest = append(largest, asMicros(difference(c))+" "+c)
	}
	return fmt.Sprintf("uwgate takes %s µs more than the bare relay. Most of it, in µs: %s.\n", asMicros(more), strings.Join(largest, ", "))
}

// beside says how much of the difference to FastRouter is spent in the kernel.
func beside(all results) string {
	more := func(m measure) float64 { return m.median(all[uwgate]) - m.median(all[fastRouter]) }
	if more(cpuRequest) <= 0 {
		return ""
	}
	return fmt.Sprintf("It takes %s µs more than FastRouter: %s in the kernel, and %s outside.\n",
		asMicros(more(cpuRequest)), asMicros(more(system)), asMicros(more(cpuRequest)-more(system)))
}

func asMicros(ns float64) string {
	text := fmt.Sprintf("%.1f", ns/1e3)
	if text == "-0.0" {
		return "0.0"
	}
	return text
}

// shares are the numbers of cores that the offered load takes.
var shares = []measure{
	{"target", func(s sample) float64 { return s.offered * s.cpu.Seconds() }, asPercent},
	{"generator", func(s sample) float64 { return s.offered * s.load.Seconds() }, asPercent},
	{"worker", func(s sample) float64 { return s.offered * s.worker.Seconds() }, asPercent},
	{"all three", func(s sample) float64 { return s.offered * (s.cpu + s.load + s.worker).Seconds() }, asPercent},
}

// carried says how much of the machine the offered load takes, by the cost of its
// requests.
func (t *trial) carried(all results, cores int) string {
	lines := table{{"share of the machine", "offered", "served"}}
	for _, m := range shares {
		lines[0] = append(lines[0], m.name)
	}
	for _, name := range t.among {
		line := []string{name, asCount(all[name][0].offered) + "/s", asCount(rate.median(all[name])) + "/s"}
		for _, m := range shares {
			line = append(line, m.text(m.median(all[name])/float64(cores)))
		}
		lines = append(lines, line)
	}
	wants := shares[len(shares)-1].median(all[uwgate]) / float64(cores)
	says := asPercent(1-wants) + " is left for everything else"
	if wants >= 1 {
		says = "that is more than the machine has, so requests wait longer and longer"
	}
	return fmt.Sprintf("%s\nWith uwgate this load takes %s of %d cores: %s.\n", lines, asPercent(wants), cores, says)
}
