package policy

import (
	"time"

	"uwgate/uwsgi"
)

// IsStranger reports whether a candidate's request carries nothing that a page may
// depend on, except its key. The response to such a request is right for all
// others like it. The response to another request may be due to what that request
// carries.
func (p *Policy) IsStranger(v uwsgi.Vars, plan Plan) bool {
	return plan.unsure == "" && !plan.Alone && (!isSet(v, "HTTP_ORIGIN") || p.Keys.isInKey(v, "Origin"))
}

// Unencoded returns what Response would decide if the body were not encoded.
func (p *Policy) Unencoded(v uwsgi.Vars, plan Plan, r *uwsgi.Response, now time.Time) Verdict {
	plain := *r
	plain.Header = nil
	for _, f := range r.Header {
		if !equalFold(f.Name, "Content-Encoding") {
			plain.Header = append(plain.Header, f)
		}
	}
	return p.Response(v, plan, &plain, now)
}
