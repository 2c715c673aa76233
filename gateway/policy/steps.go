package policy

import (
	"strconv"
	"time"
)

// steps returns the calculation of the lifetime.
func (h *head) steps() []Step {
	steps := []Step{}
	var decided Reason
	var granted grant
	for _, s := range sources {
		g := h.ask(s)
		step := Step{Source: string(s), Value: h.spelled(s, g)}
		switch {
		case step.Value == "":
			continue
		case !g.given:
			step.Detail = "says no lifetime that counts, and is passed over"
		case decided != "":
			step.Detail = "is not asked: " + string(decided) + " comes first"
		case g.ttl <= 0:
			step.Detail = "decides, and grants no lifetime"
			decided, granted = s, g
		default:
			step.Detail = "decides: " + seconds(g.ttl)
			decided, granted = s, g
		}
		steps = append(steps, step)
	}
	return append(steps, h.adjustments(granted)...)
}

// spelled returns the text of a source, "" if it is absent.
func (h *head) spelled(source Reason, g grant) string {
	switch {
	case source.isOurs() && g.given:
		return seconds(g.ttl)
	case source == CDNCacheControl:
		return h.joined(fieldCDN)
	case source == SurrogateControl:
		return h.joined(fieldSurrogate)
	}
	return g.value
}

// adjustments returns how the granted lifetime is changed.
func (h *head) adjustments(g grant) []Step {
	var steps []Step
	switch {
	case h.age > 0 && g.absolute:
		steps = append(steps, Step{"age", seconds(h.age), "is not subtracted: the lifetime ends at a fixed time"})
	case h.age > 0:
		steps = append(steps, Step{"age", seconds(h.age), "is subtracted: " + seconds(g.left(h.age)) + " left"})
	}
	left := g.left(h.age)
	shortest, longest := h.p.Lifetimes.limits(h.rule)
	if left <= 0 {
		return steps
	}
	if left < shortest {
		steps = append(steps, Step{"min-ttl", seconds(shortest), "lengthens it"})
	}
	if max(left, shortest) > longest {
		steps = append(steps, Step{"max-ttl", seconds(longest), "shortens it"})
	}
	return steps
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(d/time.Second), 10) + " s"
}
