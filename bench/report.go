//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A report contains the results of a run.
type report struct {
	machine  string
	rounds   int
	findings []finding
	details  []section // one for each trial
	where    []section // where time and memory go
	calls    []section
	growth   []series
}

// A section has a heading, tables, and sentences about them.
type section struct{ name, text string }

// summary has a line for each finding.
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

// detail has all medians of a trial, and their ratios to FastRouter's.
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

// isLarge reports whether the cost depends on the bytes of a response.
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

// write writes performance.md and its plot to a directory.
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

Made by ` + "`make bench`" + `, which measures everything again. Do not edit it.

Measured on %[1]s.

The targets are uWSGI's FastRouter, which stores nothing; uwgate with its defaults (firewall, policy, capture, access log to
a file, metrics); and a bare relay in Go (accept, read, connect, write, copy, close). They did the same work in turns, in
%[2]d rounds. A load generator sent requests as nginx does: a new connection for each request, with nginx's params and
the place where nginx looked the page up. No page was requested twice. A scripted worker sent the responses. All programs
shared the machine's cores.

CPU is the user and system time of all processes of a target, including threads that have ended. Figures are medians of the
rounds. A ratio is the median of the rounds' ratios. Memory is the growth of resident memory while the requests waited.
With "%% load", requests come at a fixed rate, which is that share of FastRouter's capacity on this machine; latency counts
from the time when a request was due. A page counts as stored when memcached says so.

`

const reportDetails = `
## All measurements

Ratios are to FastRouter. The raw relay does the work of the bare relay with plain system calls in one thread, without
Go's package net.
`

const reportWhere = `
## Where time and memory go

Time is the CPU time of a request. The kernel reports how much of it is system time. The other tables come from Go's CPU
profiles, which were taken for some seconds after the rounds, under the same load. A figure is the profile's share of the
CPU time that was measured without the profile. Profiles sample a hundred times a second, so small figures are rough. If
the bare relay is not among the targets above, it was measured in these seconds only.

Each sample counts once: for the system call in which it was taken, or for the innermost function that belongs to a line
of the table. The time of a system call includes everything that the kernel does in it, such as waking the reader. The
share of the machine is the offered rate times the CPU time of a request.
`

const reportCalls = `
## System calls

Counted by strace. strace slows the targets down, so they wait more often than without it.
`

const reportGrowth = `
## What a request costs as things grow

uwgate over UNIX sockets, with responses of 4 KiB. Stores, and FastRouter's requests beside them, come at a fixed rate, up
to half of the machine's capacity. At a low rate a request costs more, because a sleeping thread must be woken for it. In
the other rows, uwgate gets as many requests as it can take. Each pool has one host and one server.

![CPU per request as things grow](performance-growth.svg)

`
