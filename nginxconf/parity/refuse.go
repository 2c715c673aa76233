package parity

import (
	"slices"

	"uwgate/nginxconf"
)

// tolerated are errors with which `serve --nginx` starts all the same: nginx makes them by
// itself, for requests that are not cached, and without the gateway nothing would work.
var tolerated = map[Code]string{
	noMethod:          "such requests are passed on, and never stored; without the gateway the application sees no method either",
	errorPageMissing:  "nginx responds to these requests itself, whether or not there is a gateway",
	undefinedLocation: "likewise",
	errorPageStatus:   "the status of the page is nginx's; what is stored is right",
	socketDenied:      "serve makes its own socket anew, with another mode; and what lies there from before must not keep it from that",
	neverReached:      "nginx asks for no page; what is stored is right",
	serverShadowed:    "nginx sends no requests; what is stored is right",
}

// Stale returns the findings of Check that say that nginx's configuration was printed for other
// settings than the gateway's, apart from errors: those are among Refusals.
func Stale(c *nginxconf.Config, g Gateway) []Finding {
	return slices.DeleteFunc(Check(c, g), func(f Finding) bool {
		return f.Level == Error || f.Code != visitorDiffers && f.Code != generationDiffers
	})
}

// Refusals returns the findings of Check with which `serve --nginx` does not start: the
// errors, apart from a few that nginx makes by itself. If all misses go to one address that
// is not the gateway's, they reach it under another name, as in a container; that is no
// error here.
func Refusals(c *nginxconf.Config, g Gateway) []Finding {
	k, leads := listener(g.Listen), false
	for _, l := range c.Lookups {
		leads = leads || l.Misses != nil
	}
	if !slices.ContainsFunc(c.Lookups, func(l *nginxconf.Lookup) bool { return l.Misses != nil && k.reaches(l.Misses.Upstream) }) {
		g.Listen = nil
	}
	return slices.DeleteFunc(Check(c, g), func(f Finding) bool { return f.Level != Error || leads && tolerated[f.Code] != "" })
}
