package backend

import (
	"cmp"
	"slices"
)

// A ring is a consistent hash. Every node has points on it in proportion to its weight,
// and a key belongs to the node of the next point after the key's hash. A ring depends on
// nothing but names and weights, so all gateways make the same choice.
type ring []point

type point struct {
	hash uint64
	node *Node
}

const (
	pointsPerNode = 160     // on average
	maxPoints     = 1 << 17 // of a ring; the nodes of a large pool have fewer
	maxWalk       = 64      // points that pick looks at
)

func newRing(nodes []*Node) ring {
	var total uint64
	for _, n := range nodes {
		total += n.weight()
	}
	points := uint64(min(pointsPerNode*len(nodes), maxPoints))
	var r ring
	for _, n := range nodes {
		hash := hashOf(n.name)
		for range max(1, n.weight()*points/total) {
			hash = mix(hash + 0x9e3779b97f4a7c15)
			r = append(r, point{hash, n})
		}
	}
	slices.SortFunc(r, func(a, b point) int { return cmp.Compare(a.hash, b.hash) })
	return r
}

// pick returns the first free node of t on the ring, beginning at the key, or nil if
// there is none among the next maxWalk points.
func (r ring) pick(key string, t *tier, avoid *Node) *Node {
	start, _ := slices.BinarySearchFunc(r, hashOf(key), func(p point, h uint64) int { return cmp.Compare(p.hash, h) })
	for i := range min(len(r), maxWalk) {
		n := r[(start+i)%len(r)].node
		if n.at >= 0 && n != avoid && t == &n.pool.tiers[n.tier] {
			return n
		}
	}
	return nil
}

// hashOf is FNV-1a, finished by mix.
func hashOf(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return mix(h)
}

// mix is the finalizer of MurmurHash3: every bit depends on all bits of h.
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
