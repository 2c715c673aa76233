package purge

import (
	"errors"
	"fmt"
	"strings"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A Reach says which pages a PURGE request for a URL means.
type Reach string

const (
	Exact  Reach = "exact"  // the page of the URL
	Query  Reach = "query"  // the pages of the URL's path, with any query string
	Prefix Reach = "prefix" // the pages whose URLs begin with the URL's path
)

// Reaches are all of them.
var Reaches = []string{string(Exact), string(Query), string(Prefix)}

// ErrBan says that a BAN request has no effect, and what to use.
var ErrBan = errors.New("BAN is not supported, since memcached has no expressions to match; use PURGE with X-Purge-Scope: prefix, or with Surrogate-Key: TAG")

// ErrPurgeTags says what to use instead of PURGEKEYS and PURGETAGS, which some clients of
// Varnish and of Symfony's HttpCache send.
var ErrPurgeTags = errors.New("this method is not supported, and nothing was purged: send PURGE, with the tags in Surrogate-Key, with spaces between them, or in Cache-Tag, with commas")

// Read reads a PURGE request of a client. v are its vars, and host is the site that it is
// for, as nginx normalizes it. usual counts if the client names no scope. Errors are for the
// client.
//
// The header fields of the request:
//
//	X-Purge-Scope: exact, query or prefix
//	Surrogate-Key, xkey, Cache-Tag, Edge-Cache-Tag: purge the pages with these tags instead of the URL
//	X-Purge-Method: soft, or Fastly-Soft-Purge: 1
//
// Others whose names say that they are about purges are errors, since the client means
// something else than the page of the URL.
func Read(v uwsgi.Vars, host string, usual Reach) (*Request, error) {
	if err := checkFields(v); err != nil {
		return nil, err
	}
	r := &Request{}
	var err error
	if r.Soft, err = readSoft(v); err != nil {
		return nil, err
	}
	if r.Tags = policy.RequestTags(v); len(r.Tags) > 0 {
		return r, r.Check()
	}
	site, uri := unwrap(host, v.Get("REQUEST_URI"))
	reach := usual
	if text := v.Get("HTTP_X_PURGE_SCOPE"); text != "" {
		reach = Reach(strings.ToLower(text))
	}
	if err := r.reach(reach, site, uri); err != nil {
		return nil, err
	}
	return r, r.Check()
}

// reach makes the request one for a URL of a site.
func (r *Request) reach(reach Reach, host, uri string) error {
	if !strings.HasPrefix(uri, "/") {
		return fmt.Errorf("the request target %q begins with no slash", uri)
	}
	path, _, _ := strings.Cut(uri, "?")
	site := "http://" + host
	switch reach {
	case Exact:
		r.URLs = []string{site + uri}
	case Query:
		r.Paths = []string{site + path}
	case Prefix:
		r.Prefixes = []string{site + strings.TrimSuffix(path, "*")}
	default:
		return fmt.Errorf("X-Purge-Scope %q: write exact, query or prefix", string(reach))
	}
	return nil
}

// readSoft reads how to purge.
func readSoft(v uwsgi.Vars) (soft bool, err error) {
	switch method := v.Get("HTTP_X_PURGE_METHOD"); strings.ToLower(method) {
	case "soft":
		return true, nil
	case "", "hard", "delete", "default":
	case "regex", "regexp", "ban":
		return false, fmt.Errorf("X-Purge-Method %q: memcached has no expressions to match; %s", method, writePrefix)
	default:
		return false, fmt.Errorf("X-Purge-Method %q: write soft or hard", method)
	}
	switch value := v.Get("HTTP_FASTLY_SOFT_PURGE"); value {
	case "1":
		return true, nil
	case "", "0":
		return false, nil
	default:
		return false, fmt.Errorf("Fastly-Soft-Purge %q: write 1 for a soft purge", value)
	}
}

// unwrap returns the host and the URI that visitors see of a page that Zope's virtual host
// monster knows by its own path: plone.cachepurging purges such paths. For instance,
// /VirtualHostBase/https/www.example.com:443/Plone/VirtualHostRoot/_vh_news/today is
// /news/today of www.example.com.
func unwrap(host, uri string) (string, string) {
	rest, ok := strings.CutPrefix(uri, "/VirtualHostBase/")
	if !ok {
		return host, uri
	}
	_, rest, _ = strings.Cut(rest, "/") // the scheme
	site, rest, _ := strings.Cut(rest, "/")
	_, shown, ok := strings.Cut("/"+rest, "/VirtualHostRoot/")
	named, err := parseSite(site)
	if !ok || err != nil {
		return host, uri
	}
	segments := strings.Split(shown, "/")
	for i := range segments {
		segment, isOutside := strings.CutPrefix(segments[i], "_vh_")
		if !isOutside {
			break
		}
		segments[i] = segment
	}
	return named, "/" + strings.Join(segments, "/")
}
