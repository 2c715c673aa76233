package tally_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/gateway/tally"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type number int

func (n *number) Add(from *number) { *n += *from }

func values(t *tally.Table[number]) map[string]int {
	all := map[string]int{}
	t.Each(func(name string, v *number) { all[name] = int(*v) })
	return all
}

func count(n *number) { *n++ }

// Names that are made up take no more than the room, and give it back; nothing is lost of
// the sum.
func TestTable(t *testing.T) {
	hosts := tally.Table[number]{Limit: 3, Idle: time.Minute}
	for i := range 10 {
		hosts.Do(fmt.Sprintf("made-up-%d", i), noon, count)
	}
	if got := values(&hosts); len(got) != 4 || got[tally.Other] != 7 {
		t.Errorf("full: got %v", got)
	}
	for range 5 {
		hosts.Do("real", noon.Add(2*time.Minute), count)
	}
	got, sum := values(&hosts), 0
	for _, n := range got {
		sum += n
	}
	if got["real"] != 5 || sum != 15 || len(got) != 4 {
		t.Errorf("later: got %v with the sum %d", got, sum)
	}
	hosts.Do(strings.Repeat("x", 300), noon.Add(2*time.Minute), count)
	if got[tally.Other]+1 != values(&hosts)[tally.Other] {
		t.Errorf("a long name: got %v", values(&hosts))
	}
}

// A frequent name is found among many that come once, and forgotten after its time.
func TestTop(t *testing.T) {
	var top tally.Top
	for i := range 20_000 {
		top.Add(fmt.Sprintf("rare-%d", i), noon)
		if i%10 == 0 {
			top.Add("often", noon)
		}
	}
	top.Add(strings.Repeat("x", 5000), noon)
	if got := top.Best(1, noon.Add(time.Minute)); len(got) != 1 || got[0] != (tally.Count{Name: "often", N: 2000}) {
		t.Errorf("got %v", got)
	}
	if got := top.Best(2000, noon); len(got) > 1024 || slices.ContainsFunc(got, func(c tally.Count) bool { return len(c.Name) > 1024 }) {
		t.Errorf("it keeps %d names", len(got))
	}
	if got := top.Best(1, noon.Add(6*time.Minute)); len(got) != 1 || got[0].N != 2000 {
		t.Errorf("in the next span: got %v", got)
	}
	if got := top.Best(1, noon.Add(time.Hour)); len(got) != 0 {
		t.Errorf("after its time: got %v", got)
	}
}

func TestSlowest(t *testing.T) {
	var slow tally.Slowest[int]
	described := 0
	for i := range 1000 {
		ms := i * 7 % 1000
		slow.Add(time.Duration(ms)*time.Millisecond, noon, func() int { described++; return ms })
	}
	got := slow.All(noon)
	if len(got) != 20 || got[0] != 999 || got[19] != 980 || !slices.IsSortedFunc(got, func(a, b int) int { return b - a }) {
		t.Errorf("got %v", got)
	}
	if described > 500 {
		t.Errorf("%d of 1000 were described", described)
	}
	slow.Add(time.Second, noon.Add(40*time.Minute), func() int { return 1000 })
	if got := slow.All(noon.Add(40 * time.Minute)); len(got) != 20 || got[0] != 1000 || got[1] != 999 {
		t.Errorf("in the next span: got %v", got)
	}
	if got := slow.All(noon.Add(3 * time.Hour)); len(got) != 0 {
		t.Errorf("after their time: got %v", got)
	}
}
