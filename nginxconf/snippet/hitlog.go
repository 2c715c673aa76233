package snippet

import "strings"

// addHitsTo adds what makes nginx tell of its hits.
func (s *Site) addHitsTo(v *values, q *quoter) {
	if s.HitsTo == "" {
		return
	}
	if strings.Contains(s.HitsTo, ",") {
		q.fail("the address %q for hits has a comma, which ends it in nginx", s.HitsTo)
	}
	v.HitsTo = q.quote("the address for hits", "syslog:server="+s.HitsTo+",nohostname,tag=uwgate")
}
