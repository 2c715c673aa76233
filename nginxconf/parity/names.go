package parity

import "fmt"

// freshNames are the names that fixes give to what they add. All fixes may be made together, so
// no two things have one name.
type freshNames map[string]string // what has a name, by it

// of returns a name for a thing that no other thing has: the one wished for, or else that with
// a number. The same thing has the same name again.
func (n freshNames) of(wish, thing string, isTaken func(name string) bool) string {
	name := wish
	for i := 2; isTaken(name) || n[name] != "" && n[name] != thing; i++ {
		name = fmt.Sprintf("%s_%d", wish, i)
	}
	n[name] = thing
	return name
}
