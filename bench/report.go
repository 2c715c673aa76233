//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A report is what a run has found.
type report struct {
	machine  string
	rounds   int
	findings []finding
	details  []section // of every trial
	where    []section // time and memory go to
	calls    []section
	growth   []series
}

// A section is tables, and what they say, with a heading.
type section struct{ name, text string }

// summary has a line for every finding.
func (r *report) summary() table {
	t := table{{"work", "measure", "FastRouter", "relay", "uwgate", "ratio", "bound", "aim", "verdict"}}
	for _, f := range r.findings {
		router, relay, ratio := f.theirs, "", ""
		if f.against == netRelay {
			router, relay = "", f.theirs
		}
		if f.against != "" {
			ratio = f.text(f.value)
		}
		bound, aim := f.bounds()
		t.add(f.work, f.what, router, relay, f.ours, ratio, bound, aim, f.verdict())
	}
	return t
}

// detail is everything about a trial: medians, and what they are of FastRouter's.
func (t *trial) detail(all results) section {
	cost := cpuRequest
	if t.isLarge() {
		cost = cpuMiB
	}
	measures := []measure{cost, rate, p50, p99, p999}
	head := []string{"target"}
	for _, m := range measures {
		head = append(head, m.name)
	}
	lines := table{append(head, cost.name+", ratio", "p99, ratio")}
	for _, name := range t.among {
		line := []string{name}
		for _, m := range measures {
			line = append(line, m.text(m.median(all[name])))
		}
		lines.add(append(line, asRatio(cost.ratio(all[name], all[fastRouter])), asRatio(p99.ratio(all[name], all[fastRouter])))...)
	}
	return section{t.name, lines.String()}
}

// isLarge tells whether the bytes of an answer are what costs.
func (t *trial) isLarge() bool { return t.want >= 1<<20 }

func growthTable(all []series) table {
	t := table{{"what grows", "from … to", "CPU per request on the way", "last to first"}}
	for _, s := range all {
		var costs []string
		for _, p := range s.points {
			costs = append(costs, asDuration(float64(p.cpu)))
		}
		t.add(s.name, tick(s.points[0].x)+" … "+tick(s.points[len(s.points)-1].x), strings.Join(costs, ", "), asRatio(s.growth()))
	}
	return t
}

// write makes performance.md and its plot in a folder.
func (r *report) write(folder string) error {
	if err := os.WriteFile(filepath.Join(folder, "performance-growth.svg"), []byte(plot(r.growth)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "performance.md"), []byte(r.markdown()), 0o644)
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, reportHead, r.machine, r.rounds)
	b.WriteString(r.summary().String())
	b.WriteString(reportDetails)
	writeSections(&b, r.details)
	b.WriteString(reportWhere)
	writeSections(&b, r.where)
	if len(r.calls) > 0 {
		b.WriteString(reportCalls)
		writeSections(&b, r.calls)
	}
	b.WriteString(reportGrowth)
	b.WriteString(growthTable(r.growth).String())
	return b.String()
}

func writeSections(b *strings.Builder, all []section) {
	for _, s := range all {
		fmt.Fprintf(b, "\n### %s\n\n%s", s.name, s.text)
	}
}

const reportHead = `# How fast it is, beside FastRouter

Made by ` + "`make bench`" + `, which measures all of it again; do not edit it.

Measured on %[1]s.

uWSGI's FastRouter, which stores nothing, uwgate with everything at its defaults (firewall, policy,
capture, access log to a file, metrics), and a bare relay in Go (accept, read, connect, write, copy,
close) had the same work to do in turns, %[2]d rounds of it. A load generator asked as nginx does: a
connection for every request, with nginx's params and where it has looked the page up, never the same
page twice. A scripted worker answered. All of them shared the machine's cores.

CPU is user and system time of all processes of the target, its threads that have ended included. Figures are medians
over the rounds; a ratio is the median of the rounds' ratios. Memory is what resident memory grew by while the requests
waited. With "%% load" requests come at a fixed rate, so much of what FastRouter can answer on this machine, and
latency counts from when a request was to begin. A page counts as stored when memcached says so.

`

const reportDetails = `
## Everything that was measured

Ratios are to FastRouter. The raw relay is the bare one with plain system calls in one thread, in the place
of Go's package net.
`

const reportWhere = `
## Where the time goes, and the memory

Time is CPU time of a request. What of it is spent in the kernel, the kernel says. The rest of the tables is by Go's CPU
profiles, taken for some seconds after the rounds, under the same load: their shares, times the CPU time that was
measured without them. They look a hundred times a second, so that small figures are rough. The bare relay is measured
here even where it is not among the targets above, in those seconds alone. Each sample counts once: as the system call in which it was taken, or
as what its innermost function is that is of some kind here. A system call's time has in it all that the kernel does on
the way, as waking the one who reads. The share of the machine is the offered rate times the CPU time of a request.
`

const reportCalls = `
## System calls

Counted by strace, which slows the targets down so that they wait more often than they do otherwise.
`

const reportGrowth = `
## What a request costs as things grow

uwgate, over UNIX sockets, with answers of 4 KiB. Stores come at a fixed rate, up to half of what the machine can do
at most, and FastRouter's requests beside them as well: what comes seldom costs more, since somebody has to be woken for
it. Elsewhere uwgate gets as many requests as it takes. Each pool has a host and a server.

![CPU per request as things grow](performance-growth.svg)

`
