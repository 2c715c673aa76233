package main

import (
	"cmp"

	"uwgate/gateway/policy"
)

// adviceOf returns what to do about one reason not to store a page.
func adviceOf(f policy.Finding) string { return cmp.Or(f.Fix, adviceOn[f.Reason]) }

// adviceOn is the last column of the tables in docs/decisions.md: what to do
// if the page should be stored after all.
var adviceOn = map[policy.Reason]string{
	policy.NoMethod:        "put include uwsgi_params; at server level, so that every block has it",
	policy.Method:          "nothing",
	policy.Upgrade:         "nothing",
	policy.Excluded:        "change --exclude, or the rules",
	policy.Authorization:   "Cache-Control: public, max-age=…, if the page is the same for everybody",
	policy.IdentityCookie:  "--harmless-cookie NAME, if no page depends on it",
	policy.IdentityHeader:  "--harmless-header NAME, if no page depends on it",
	policy.IdentityVar:     "--harmless-var NAME, if no page depends on it",
	policy.TokenCookie:     "nothing: the page is stored when a visitor without the cookie requests it, and nginx serves it to this one, too",
	policy.Cookie:          "Cache-Control: max-age=… on pages that do not depend on cookies, or --harmless-cookie NAME if no page depends on it",
	policy.UnknownHeader:   "Cache-Control: max-age=…, or --harmless-header NAME if no page depends on it",
	policy.UnknownVar:      "Cache-Control: max-age=…, or --harmless-var NAME if no page depends on it",
	policy.RequestBody:     "nothing",
	policy.RequestNoStore:  "nothing",
	policy.Range:           "nothing: a request for the whole page fills the cache",
	policy.Precondition:    "nothing: a request without the condition fills the cache",
	policy.UnkeyedHeader:   "have nginx drop the header, or name it as --trusted-header if nginx or a proxy of yours sets it",
	policy.DuplicateHeader: "send a response header once; set a uwsgi_param once",
	policy.Host:            "uwsgi_param HTTP_HOST $host; and $host in the key; for a key without host, --allowed-host; if a name in the key is only a prefix, --key with the template",
	policy.Rewritten:       "if only rewrites do that, and nothing makes subrequests, --allow-rewrites and $request_uri in the key; else hand CACHE_KEY over, with $uri$is_args$args in it",
	policy.Arguments:       "$request_uri, or $uri$is_args$args, in the key; for hashes of the whole URL, --opaque-key",
	policy.KeyPartial:      "put everything into nginx's key on which the page depends, as in $scheme://$host$request_uri; redirect one of two URLs of one page to the other",
	policy.Scheme:          "put $http_x_forwarded_proto, or a map of it, into the key; or start without --trust-forwarded-proto",
	policy.NoKey:           "uwsgi_param CACHE_KEY $memcached_key if_not_empty; or --key",
	policy.NotLookedUp:     "uwsgi_param CACHE_STATUS $upstream_status;, and every server of nginx as --memcached",
	policy.KeyTooLong:      "a shorter prefix, or a hash in place of the URL, in nginx's key",
	policy.Status:          "nothing",
	policy.AccelRedirect:   "nothing: nginx serves that file by itself",
	policy.SetCookie:       "do not touch the session on pages for everybody",
	policy.NoStore:         "change the header",
	policy.Private:         "change the header",
	policy.NoCache:         "change the header",
	policy.Vary:            "put the header into the key ($http_accept_language), or do not vary. Django sends Vary: Cookie when a view or template looks at the session or the user: --vary-cookie anonymous stores such pages for requests whose cookies are all harmless",
	policy.ContentEncoding: "let nginx compress (gzip on)",
	policy.ContentRange:    "nothing",
	policy.ContentType:     "--hit-type as nginx's default_type and charset; nginx goes by the path's extension first. For JSON and other types under paths without an extension, --format http: hits keep the application's headers",
	policy.HeaderLoss:      "do not send it on pages for everybody; or, if it may be declared (docs/headers.md), let nginx add it, and declare it with --nginx-adds; or --format http: hits keep the application's headers",
	policy.NoLength:        "send Content-Length; --accept-unframed html accepts a closing </html> as proof",
	policy.Empty:           "nothing",
	policy.TooLarge:        "raise it together with memcached's -I",
	policy.Expired:         "--ttl, or the response's Cache-Control",
	policy.Truncated:       "correct the application",
	policy.Trailers:        "do not send them",
	policy.Sentinel:        "fetch the token with a script, or keep the form off the page",
	policy.Purged:          "nothing: the next request stores it",
	policy.CaptureFull:     "raise --capture-memory",
	policy.StoreFull:       "look at memcached; --queue-bytes, --queue-entries",
	policy.StoreDown:       "look at memcached",
	policy.Reloaded:        "nothing: the next request stores it",
	policy.Shared:          "nothing",
	policy.Found:           "nothing",
	policy.Canary:          "nothing",
	policy.Purge:           "nothing",
	policy.Stale:           "look at the backend",
	policy.Observe:         "remove --observe when the log shows what you want",
}
