// Package warm requests the pages of a site, as a visitor without cookies would, so that
// they are in memcached before visitors come:
//
//	maps := &warm.Sitemaps{Open: nginx.OpenSitemap}
//	pages := &warm.Sieve{Limit: 1000}
//	w := &warm.Warmer{From: nginx, Concurrency: 4}
//	summary := w.Run(ctx, pages.Sift(maps.Pages(ctx, "https://www.example.com/sitemap.xml")))
//
// A source lists URLs: Sitemaps or Lines. A Sieve normalizes them as a browser would, and
// leaves out repeated ones and those of other hosts. A Warmer requests what is left, from
// nginx (HTTP) or from the gateway itself (UWSGI).
//
// Nothing is whole in memory: sitemaps are read from temporary files while the pages are
// requested, and a Sieve keeps eight bytes of a URL.
//
// Visitors come first. A throttle keeps few requests in flight: it begins with one, allows
// more while responses come as fast as at the beginning, and fewer when they get slower,
// when nginx or the gateway refuse requests (429, 503), or when visitors wait for a worker.
//
// The package stores nothing and decides nothing. The gateway says in Cache-Status what
// became of a page.
package warm
