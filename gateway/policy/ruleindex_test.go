package policy

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
)

// TestRuleIndex compares what the index finds with all rules, for random rules and places
// that have much in common.
func TestRuleIndex(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(texts ...string) string { return texts[random.IntN(len(texts))] }
	hosts := []string{"example.com", "a.example.com", "b.a.example.com", "A.EXAMPLE.com", "other.net", "", "com", ".com"}
	paths := []string{"/", "/a", "/a/", "/a/b", "/a/b/c.html", "/ab", "/a\xff", "/é", "", "x"}
	globs := []string{"*.example.com", "*.com", "*", "*.a.example.com", "a.*", "*example.com", "A.example.COM", "**.com", "*.*.com", ".com", "other.net"}
	regexps := []string{"^/a", "^/a/(b|c)", "/b", "(?i)^/A/", "^/a\uFFFD", "^/\u00e9", "^(/a|/x)", "^", "(?m)^/a", `^/a\.?b`, "^/a|^x", "(^/a/)b", "^^/a", "", "^/ab?"}
	for range 2000 {
		list := make([]Rule, 1+random.IntN(12))
		for i := range list {
			r := &list[i]
			for range random.IntN(3) {
				r.Hosts = append(r.Hosts, pick(append(globs, hosts...)...))
			}
			switch random.IntN(5) {
			case 0:
				r.PathPrefix = pick(paths...)
			case 1:
				r.PathGlob = pick("/a*", "/a/*.html", "*", "/a/b", "*b", "/a*b*")
			case 2:
				r.PathRegexp = regexp.MustCompile(pick(regexps...))
			case 3:
				r.PathPrefix, r.PathRegexp = pick(paths...), regexp.MustCompile(pick(regexps...))
			}
		}
		rules := NewRules(list)
		for range 20 {
			l := place{host: pick(hosts...), path: pick(paths...), hasPath: random.IntN(8) > 0}
			var want, got []int
			for i := range list {
				if list[i].allows(l) {
					want = append(want, i+1)
				}
			}
			for _, n := range rules.candidates(l, nil) {
				if list[n-1].allows(l) {
					got = append(got, n)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%+v: got rules %v, want %v of\n%v", l, got, want, list)
			}
		}
	}
}

// TestRuleCandidates holds the index to its purpose.
func TestRuleCandidates(t *testing.T) {
	rules := manyRules(1000)
	got := rules.candidates(place{host: "site7.example.com", path: "/section7/a", hasPath: true}, nil)
	if want := []int{8, 508}; !slices.Equal(got, want) {
		t.Errorf("got candidates %v, want %v", got, want)
	}
}

// manyRules are rules half of which are for the hosts and sections of half of the numbers.
func manyRules(n int) *Rules {
	list := make([]Rule, n)
	for i := range list {
		half := i % (n / 2)
		list[i] = Rule{Hosts: []string{fmt.Sprintf("site%d.example.com", half)}, PathPrefix: fmt.Sprintf("/section%d/", half), Tags: []string{"t"}}
	}
	return NewRules(list)
}

// BenchmarkRules plans a request without rules and with many, none of which matches.
func BenchmarkRules(b *testing.B) {
	for _, n := range []int{0, 2, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := testPolicy()
			if n > 0 {
				p.Rules = manyRules(n)
			}
			v := visit()
			b.ReportAllocs()
			for b.Loop() {
				if plan := p.Request(v); plan.Reason != "" {
					b.Fatal(plan.Reason)
				}
			}
		})
	}
}
