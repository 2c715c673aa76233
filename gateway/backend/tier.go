package backend

// A tier is the nodes that a choice compares with each other: a heap of those that may
// get a request, with the next one on top.
type tier struct {
	members int // including nodes that are busy
	order   order
	free    []*Node
}

// An order says which node of a tier is next.
type order uint8

const (
	byPass    order = iota // the one whose turn it is
	byBusy                 // the one with the fewest requests in flight
	byFailure              // the one that failed longest ago
)

// before reports whether a is chosen before b.
func (t *tier) before(a, b *Node) bool {
	if t.order == byFailure && a.failedAt != b.failedAt {
		return a.failedAt < b.failedAt
	}
	if t.order == byBusy {
		x := uint64(a.inFlight) * a.slow * b.capacity()
		y := uint64(b.inFlight) * b.slow * a.capacity()
		if x != y {
			return x < y
		}
		if a.spec.Load != b.spec.Load {
			return a.spec.Load < b.spec.Load
		}
	}
	switch {
	case a.pass.before(b.pass):
		return true
	case b.pass.before(a.pass):
		return false
	}
	return a.place < b.place
}

// best returns the next node that is not avoid. It returns avoid if there is no other,
// and nil if there is none at all.
func (t *tier) best(avoid *Node) *Node {
	switch {
	case len(t.free) == 0:
		return nil
	case t.free[0] != avoid || len(t.free) == 1:
		return t.free[0]
	case len(t.free) > 2 && t.before(t.free[2], t.free[1]):
		return t.free[2]
	}
	return t.free[1]
}

// push adds a node that may get a request.
func (t *tier) push(n *Node) {
	n.at = len(t.free)
	t.free = append(t.free, n)
	t.fix(n.at)
}

// drop removes a node that may get none; it may not be in the heap.
func (t *tier) drop(n *Node) {
	i := n.at
	if i < 0 {
		return
	}
	last := len(t.free) - 1
	t.swap(i, last)
	t.free[last] = nil
	t.free = t.free[:last]
	n.at = -1
	if i < last {
		t.fix(i)
	}
}

// init orders the heap again after t.order has changed.
func (t *tier) init() {
	for i := len(t.free)/2 - 1; i >= 0; i-- {
		t.down(i)
	}
}

// fix moves the node at i to its place after it has changed.
func (t *tier) fix(i int) {
	if !t.down(i) {
		t.up(i)
	}
}

func (t *tier) up(i int) {
	for i > 0 && t.before(t.free[i], t.free[(i-1)/2]) {
		t.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

// down moves the node at i down to its place. It reports whether it moved it.
func (t *tier) down(i int) bool {
	start := i
	for {
		child := 2*i + 1
		if child >= len(t.free) {
			break
		}
		if child+1 < len(t.free) && t.before(t.free[child+1], t.free[child]) {
			child++
		}
		if !t.before(t.free[child], t.free[i]) {
			break
		}
		t.swap(i, child)
		i = child
	}
	return i > start
}

func (t *tier) swap(i, j int) {
	t.free[i], t.free[j] = t.free[j], t.free[i]
	t.free[i].at, t.free[j].at = i, j
}
