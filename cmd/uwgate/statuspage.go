package main

import (
	"context"
	"net/http"
	"strings"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/admin"
	"uwgate/gateway/admin/page"
)

// withPage adds the status page to what an Admin serves. inForce returns the settings, which
// HUP changes.
func withPage(a *admin.Admin, inForce func() *settings.Settings) http.Handler {
	p := &page.Page{Admin: a, Log: a.Log}
	p.Explain = func(ctx context.Context, url string) (string, bool, error) {
		q, err := questionOf(inForce(), "GET", url, nil)
		if err != nil {
			return "", false, err
		}
		e := a.Gateway.Explain(ctx, q.vars)
		var b strings.Builder
		err = writeExplanation(&b, q, e)
		return b.String(), e.Policy.Verdict.Store, err
	}
	return p.Handler()
}
