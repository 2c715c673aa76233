// Package deploy compares the pages of new workers with those that are stored, before
// visitors get to see the new ones:
//
//	c := &deploy.Check{Stored: stored, Workers: workers, Mask: deploy.NewMask(ignore...)}
//	summary := c.Run(ctx, pages)
//	if err := summary.Err(false); err != nil { … } // do not switch
//
// Two responses for one page are never the same bytes: there are clocks, nonces and tokens in
// them. A Mask hides those that can be recognized. What it cannot recognize shows itself:
// a page that still differs is fetched a second time, and what differs between the two
// fetches is noise. At last the workers that serve the site now are asked: a page that is
// the same from them has changed since it was stored, but not by the deploy.
//
// Everything here reads. Workers get GETs, and nothing is written to memcached.
package deploy
