package parity

import "uwgate/nginxconf"

// reached says which requests never come to the lookup, since nginx responds to them before.
func (k *checker) reached(l Lookup) {
	if never := l.Never; !never.IsZero() {
		k.unreached(l, never)
		return
	}
	for _, leave := range l.Leaves {
		who := "requests that come as far as this"
		if !leave.If.IsZero() {
			who = "requests that meet `" + leave.If.Value + "`"
		}
		k.note(leave.Place, neverReached, Fix{},
			"nginx itself responds to %s (%s): they are never looked up, and uwgate does not see them", who, leave.Value)
	}
}

// unreached reports a lookup that no request comes to.
func (k *checker) unreached(l Lookup, never nginxconf.Text) {
	fix := manual("remove one of the two, or look pages up in another server or location block", "only you know which of the two is meant")
	if never.Place == l.Location.Place {
		k.error(l.Place, neverReached, fix,
			"no page is looked up here: nginx sends all requests of this server elsewhere, before %s", never.Value)
		return
	}
	k.error(l.Place, neverReached, fix,
		"no page is looked up here: %s of %s takes all requests away before", never.Value, never.Place)
}
