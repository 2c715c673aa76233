package refresh

// A queue is a heap of pages by their turns, the latest first if latest is
// set. A page can be in one queue of each slot.
type queue struct {
	pages  []*planned
	slot   int
	latest bool
}

// first returns nil if the queue is empty.
func (q *queue) first() *planned {
	if len(q.pages) == 0 {
		return nil
	}
	return q.pages[0]
}

func (q *queue) Len() int { return len(q.pages) }

func (q *queue) Less(i, j int) bool {
	if q.latest {
		i, j = j, i
	}
	return q.pages[i].at.Before(q.pages[j].at)
}

func (q *queue) Swap(i, j int) {
	q.pages[i], q.pages[j] = q.pages[j], q.pages[i]
	q.pages[i].place[q.slot], q.pages[j].place[q.slot] = i, j
}

func (q *queue) Push(x any) {
	p := x.(*planned)
	p.place[q.slot] = len(q.pages)
	q.pages = append(q.pages, p)
}

func (q *queue) Pop() any {
	last := len(q.pages) - 1
	p := q.pages[last]
	q.pages[last] = nil
	q.pages = q.pages[:last]
	return p
}
