// Package purge deletes pages on request: by URL, prefix, tag or site, or all of them.
//
// A [Request] says what to purge. It comes from a client of the site as a PURGE request
// ([Read]), or from the admin API as JSON. A [Purger] carries it out and returns a [Result],
// and writes an audit line for each:
//
//	p := &purge.Purger{Access: purge.Access{Token: token}, Store: writer, Log: log}
//	if err := p.Admit(purge.CallerOf(vars)); err != nil { … } // ErrForbidden, or a *RateError
//	req, err := purge.Read(vars, purge.Exact)
//	result := p.Do(ctx, policy, req)
//
// Who may purge is decided here, for PURGE requests. The admin API has its own access
// control. The package does not know how a page is fetched, nor HTTP beyond the vars of a
// request and the JSON of a result.
package purge
