package policy

import "uwgate/uwsgi"

// Withdraws reports whether a response takes back what was stored of its page before: it
// tells what a stranger gets now, and that is nothing to be stored. The last good copy
// must not outlive it. plan and verdict are those of the request and its response.
//
// A response to anybody else says nothing of the stranger's page, nor does one to a
// request for less than the page. An error of the server, a client that is told to come
// again, and a body that did not come whole say nothing of the page itself.
func (p *Policy) Withdraws(plan Plan, r *uwsgi.Response, verdict Verdict) bool {
	if plan.Reason != "" || verdict.TTL > 0 || plan.Alone {
		return false
	}
	if plan.unsure == Cookie || plan.unsure == UnknownHeader { // an unknown var is the site's
		return false
	}
	if r.StatusCode != 200 {
		return withdrawsByStatus(r.StatusCode)
	}
	switch verdict.Reason {
	case AccelRedirect, SetCookie, NoStore, Private, NoCache, Vary, ContentEncoding, ContentType,
		HeaderLoss, Empty, TooLarge, Expired:
		return true
	}
	return false
}

// withdrawsByStatus knows the statuses that say of a page that it is not there, is
// elsewhere, or is not for strangers.
func withdrawsByStatus(status int) bool {
	switch status {
	case 204, 205,
		300, 301, 302, 303, 307, 308,
		401, 402, 403, 404, 405, 410, 451:
		return true
	}
	return false
}
