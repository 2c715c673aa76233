package policy

import "uwgate/uwsgi"

// ForWorker returns the vars that the worker gets, of those that Firewall let
// through. It does not change v. The vars that hand the key over are gone. A
// candidate is asked for its full identity body and without the arguments that
// a rule cuts, a bypass for the URL without the argument, and a body that nginx
// has thrown away is not announced.
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
	case varKey, varStatus, varServer:
		return true
	}
	return false
}

// isPartial tells the headers of a candidate's request on which an answer would
// have no body, or an encoded one.
func isPartial(name string) bool { return asksForChange(name) || name == "HTTP_ACCEPT_ENCODING" }
