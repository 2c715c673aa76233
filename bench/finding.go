//go:build linux

package main

import (
	"cmp"
	"fmt"
)

// A finding is a claim and the result.
type finding struct {
	work    string
	what    string // "CPU per request"
	against string // the target that uwgate is compared with; "": none
	theirs  string // as measured
	ours    string
	value   float64 // the ratio, or the measured value
	bound   float64
	aim     float64 // 0: none
	text    func(float64) string
	spoiled string // why the claim is not met, whatever the value; "": no reason
}

// judge compares the samples with the claims.
func (t *trial) judge(all results) []finding {
	var found []finding
	for _, c := range t.claims {
		f := finding{
			work: t.name, what: c.of.name, against: c.against,
			theirs: c.of.text(c.of.median(all[c.against])),
			ours:   c.of.text(c.of.median(all[uwgate])),
			value:  c.of.ratio(all[uwgate], all[c.against]),
			bound:  c.bound, aim: c.aim, text: asRatio,
			spoiled: cmp.Or(failed(uwgate, all), failed(c.against, all)),
		}
		if t.stores && f.spoiled == "" {
			f.spoiled = notAllStored(all[uwgate])
		}
		found = append(found, f)
	}
	return found
}

// failed says that a target's requests failed: work that was not done costs nothing.
func failed(target string, all results) string {
	for _, s := range all[target] {
		if s.failure != nil {
			return target + " failed requests"
		}
	}
	return ""
}

// notAllStored gives the share of the round that stored the least, if it is not all.
func notAllStored(samples []sample) string {
	least := 1.0
	for _, s := range samples {
		least = min(least, s.stored)
	}
	if least >= 0.999 {
		return ""
	}
	return fmt.Sprintf("only %.1f %% stored", 100*least)
}

func (f finding) met() bool { return f.spoiled == "" && f.value <= f.bound }

func (f finding) verdict() string {
	switch {
	case f.spoiled != "":
		return "not met: " + f.spoiled
	case !f.met():
		return "not met"
	case f.aim > 0 && f.value <= f.aim:
		return "met, and the aim"
	}
	return "met"
}

// bounds returns the bound and the aim as text.
func (f finding) bounds() (bound, aim string) {
	bound = "≤ " + f.text(f.bound)
	if f.aim > 0 {
		aim = f.text(f.aim)
	}
	return bound, aim
}
