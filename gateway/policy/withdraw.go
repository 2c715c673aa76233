package policy

import "uwgate/uwsgi"

// Withdraws reports whether a response withdraws the page that was stored before:
// it shows what a stranger gets now, and that cannot be stored. Then the last good
// copy must be deleted. plan and verdict belong to the request and its response.
//
// A response to anybody else says nothing about the stranger's page, nor does a
// response to a request for a part of it. A server error, a request to try again,
// and an incomplete body say nothing about the page either.
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

// withdrawsByStatus reports whether a status says that the page is gone, has
// moved, or is not for strangers.
func withdrawsByStatus(status int) bool {
	switch status {
	case 204, 205,
		300, 301, 302, 303, 307, 308,
		401, 402, 403, 404, 405, 410, 451:
		return true
	}
	return false
}
