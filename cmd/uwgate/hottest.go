package main

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/settings"
	"uwgate/cmd/uwgate/warm"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A storeReader looks at the pages that are stored. It changes nothing.
type storeReader struct {
	s       *settings.Settings
	policy  *policy.Policy
	writer  *cachewriter.Writer
	headers uwsgi.Vars // of the requests
}

func newStoreReader(ctx context.Context, s *settings.Settings, headers uwsgi.Vars) (*storeReader, error) {
	ring, err := s.Ring(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.Policy(ring)
	if err != nil {
		return nil, err
	}
	r := &storeReader{s: s, policy: p, headers: headers}
	r.writer = &cachewriter.Writer{
		Ring: ring, DialTimeout: s.Store.ConnectTimeout, Timeout: s.Store.Timeout,
		Subject: func(key string) (cachewriter.Subject, bool) {
			host, uri, ok := p.Subject(key)
			return cachewriter.Subject{Host: host, URI: uri}, ok
		},
	}
	return r, nil
}

// close closes the connections.
func (r *storeReader) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r.writer.Close(ctx)
}

// A storedPage is a stored page with the request that makes it.
type storedPage struct {
	cachewriter.Found
	url  string
	vars uwsgi.Vars // as nginx sends them, without what it hands over
}

// A hotList keeps the hottest pages of a walk: those that somebody has read since they were
// stored come first, and of these the ones that were read last. It is a heap with the
// coldest at the top.
type hotList struct {
	pages   []storedPage
	urls    map[string]bool // of pages
	most    int
	unknown int // pages whose request is not known
}

func (h *hotList) Len() int           { return len(h.pages) }
func (h *hotList) Less(i, j int) bool { return compareHeat(&h.pages[i].Found, &h.pages[j].Found) > 0 }
func (h *hotList) Swap(i, j int)      { h.pages[i], h.pages[j] = h.pages[j], h.pages[i] }
func (h *hotList) Push(x any)         { h.pages = append(h.pages, x.(storedPage)) }

func (h *hotList) Pop() any {
	last := h.pages[len(h.pages)-1]
	h.pages = h.pages[:len(h.pages)-1]
	delete(h.urls, last.url)
	return last
}

// compareHeat is negative if a is hotter than b.
func compareHeat(a, b *cachewriter.Found) int {
	if a.Fetched != b.Fetched {
		if a.Fetched {
			return -1
		}
		return 1
	}
	return cmp.Or(b.Accessed.Compare(a.Accessed), strings.Compare(a.Key, b.Key))
}

// add takes a page in if it is hotter than the coldest.
func (h *hotList) add(f cachewriter.Found, request func(*cachewriter.Found) (url string, vars uwsgi.Vars)) {
	if len(h.pages) == h.most && compareHeat(&f, &h.pages[0].Found) >= 0 {
		return
	}
	url, vars := request(&f)
	switch {
	case url == "":
		h.unknown++
		return
	case h.urls[url]: // on several servers
		return
	}
	h.urls[url] = true
	heap.Push(h, storedPage{f, url, vars})
	if len(h.pages) > h.most {
		heap.Pop(h)
	}
}

// hottest returns the hottest pages of these hosts, the hottest first, and how many others
// were left out since no stranger's request has their key.
func (r *storeReader) hottest(ctx context.Context, n int, hosts []string) (pages []storedPage, unknown int, err error) {
	list := &hotList{most: n, urls: map[string]bool{}}
	var of *warm.Hosts
	if len(hosts) > 0 {
		of = &warm.Hosts{Globs: hosts}
	}
	err = r.writer.Walk(ctx, func(f cachewriter.Found) bool {
		if f.Subject.Host == "" || of.Allows(f.Subject.Host) {
			list.add(f, r.request)
		}
		return ctx.Err() == nil
	})
	slices.SortFunc(list.pages, func(a, b storedPage) int { return compareHeat(&a.Found, &b.Found) })
	if len(list.pages) == 0 && err == nil && ctx.Err() == nil {
		err = nothingStored(list.unknown)
	}
	return list.pages, list.unknown, err
}

func nothingStored(unknown int) error {
	if unknown > 0 {
		return fmt.Errorf("no stranger's request has the key of a stored page (there are %d): give the --key that nginx has, or --nginx", unknown)
	}
	return errors.New("memcached has no page of uwgate's: are --memcached and --key those of `uwgate serve`?")
}

// request returns the URL of a page, and the request of a stranger for it; none if that
// request would have another key.
func (r *storeReader) request(f *cachewriter.Found) (url string, vars uwsgi.Vars) {
	if f.Subject.Host == "" || f.Subject.URI == "" {
		return "", nil
	}
	for _, origin := range r.origins(f.Subject.Host) {
		url := origin + f.Subject.URI
		vars, err := requestVars("GET", url, r.headersFor(origin))
		if err != nil {
			continue
		}
		vars = vars.Set(uwsgi.Var{Name: "REMOTE_ADDR", Value: anonymousAddr})
		if key, err := r.policy.Keys.Template.Expand(vars); err == nil && key == f.Key {
			return url, vars
		}
	}
	return "", nil
}

// origins are those that a page of a host may have. A key without a scheme fits both: then
// it is that of --site, or https.
func (r *storeReader) origins(host string) []string {
	all := []string{"https://" + host, "http://" + host}
	if site := r.s.Command.Warm.Site; site != "" && backend.WithoutPort(warm.HostOf(site)) == host {
		all = slices.Insert(all, 0, site)
	}
	return all
}

// headersFor adds what a proxy in front of nginx says of the scheme.
func (r *storeReader) headersFor(origin string) uwsgi.Vars {
	if !r.s.Backends.TrustScheme || r.headers.Count("HTTP_X_FORWARDED_PROTO") > 0 {
		return r.headers
	}
	scheme, _, _ := strings.Cut(origin, ":")
	return append(slices.Clone(r.headers), uwsgi.Var{Name: "HTTP_X_FORWARDED_PROTO", Value: scheme})
}

// browserHeaders adds the headers of a browser's request that are not given.
func browserHeaders(given uwsgi.Vars, agent string) uwsgi.Vars {
	for name, values := range (&warm.HTTP{Agent: agent}).BrowserHeader() {
		name = "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if given.Count(name) == 0 {
			given = append(given, uwsgi.Var{Name: name, Value: values[0]})
		}
	}
	return given
}
