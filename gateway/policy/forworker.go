package policy

import "uwgate/uwsgi"

// ForWorker returns the vars for the worker. v are the vars that Screen returned;
// ForWorker does not change them. It removes the vars that hand over the key. For
// a candidate it removes what would lead to a 304 or an encoded body, and the
// arguments that a rule cuts. For a bypass it removes the argument. If nginx has
// discarded the body, the vars do not announce one.
func (p *Policy) ForWorker(v uwsgi.Vars, plan Plan) uwsgi.Vars {
	if plan.Bypass {
		v = p.Bypass.strip(v)
	}
	if plan.cuts && plan.Reason == "" {
		v, _ = cutArgs(v, p.rule(plan.sureRule).KeepArgs)
	}
	inFull := plan.Reason == "" && !plan.Alone && !plan.AsSent
	out := make(uwsgi.Vars, 0, len(v))
	for _, x := range v {
		switch {
		case isHandover(x.Name):
			continue
		case inFull && isPartial(x.Name):
			continue
		case plan.LookedUp && (x.Name == "HTTP_CONTENT_LENGTH" || x.Name == "HTTP_TRANSFER_ENCODING"):
			continue
		case plan.LookedUp && x.Name == "CONTENT_LENGTH":
			x.Value = ""
		}
		out = append(out, x)
	}
	return out
}

func isHandover(name string) bool {
	switch name { // by length first
	case varKey, varStatus, varServer, VarRequestID:
		return true
	}
	return false
}

// isPartial reports whether a header could lead to a response without a body, or
// with an encoded one.
func isPartial(name string) bool { return asksForChange(name) || name == "HTTP_ACCEPT_ENCODING" }
