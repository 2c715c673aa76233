package settings

import (
	"errors"
	"fmt"
	"math"
	"mime"
	"strconv"
	"strings"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

func lifetimeRows() []row {
	return []row{
		{name: "ttl", kind: period(func(s *Settings) *time.Duration { return &s.Lifetimes.Default }, checkLifetime), defaults: []string{"10m"}, example: "10m",
			help: "store pages without a lifetime of their own for this `TIME`, 1s to 720h; 0s stores only pages with one"},
		{name: "min-ttl", kind: period(func(s *Settings) *time.Duration { return &s.Lifetimes.Min }, checkLifetime), defaults: []string{"0s"}, example: "1m",
			help: "store pages for this `TIME` at least"},
		{name: "max-ttl", kind: period(func(s *Settings) *time.Duration { return &s.Lifetimes.Max }, checkMaxTTL), defaults: []string{"24h"}, example: "24h",
			help: "store pages for this `TIME` at most"},
		{name: "jitter", kind: jitterKind(), defaults: []string{"5%"}, example: "5%",
			help: "shorten lifetimes by a random part of this `SHARE`, 0% to 50%, so that pages do not expire together"},
		{name: "grace", kind: period(func(s *Settings) *time.Duration { return &s.Lifetimes.Grace }, zeroIs("not at all")), defaults: []string{"0s"}, example: "30s",
			help: "serve an expired page for this `TIME` while uwgate refreshes it; the page's stale-while-revalidate wins"},
		{name: "stale-if-error", kind: period(func(s *Settings) *time.Duration { return &s.Lifetimes.StaleIfError }, zeroIs("not at all")), defaults: []string{"0s"}, example: "1h",
			help: "serve the last good copy of a page for this `TIME` after it expired while the backend fails; the page's stale-if-error wins"},
		{name: "refresh-ahead", kind: toggle(func(s *Settings) *bool { return &s.Lifetimes.RefreshAhead }), defaults: []string{"true"}, example: "false", restart: true,
			help: "refresh pages that are served before they expire (docs/refresh.md)"},
		{name: "refresh-concurrency", kind: number(func(s *Settings) *int { return &s.Lifetimes.RefreshConcurrency }, 1, math.MaxInt32, "; --refresh-ahead=false refreshes none"), defaults: []string{"2"}, example: "2", restart: true,
			help: "refresh this `NUMBER` of pages at once"},
	}
}

func checkMaxTTL(d time.Duration) error {
	if d == 0 {
		return errors.New("nothing would be stored; write a lifetime from 1s to 720h")
	}
	return checkLifetime(d)
}

// A Share is a part of something: 0.05 is 5%.
type Share float64

func jitterKind() kind {
	k := one("share", func(s *Settings) *Share { return &s.Lifetimes.Jitter }, parseShare)
	k.blank = true
	return k
}

// parseShare reads "5%" as 0.05.
func parseShare(s string) (Share, error) {
	digits, ok := strings.CutSuffix(s, "%")
	percent, err := strconv.ParseFloat(digits, 64)
	switch {
	case s == "0":
		return 0, nil
	case !ok || err != nil || !(percent >= 0 && percent <= 50):
		return 0, errors.New("write a share of the lifetime from 0% to 50%")
	}
	return Share(percent / 100), nil
}

func pageRows() []row {
	return []row{
		{name: "exclude", kind: texts("path", func(s *Settings) *[]string { return &s.Pages.Exclude }, checkExclude), example: "/admin",
			help: "store no page whose path begins with this `PREFIX`"},
		{name: "sentinel", kind: sentinelKind(), example: "csrfmiddlewaretoken",
			help: "store no page that contains this `TEXT`; replaces the built-in ones, the names of CSRF tokens and SSI's <!--#; none, alone, for no text"},
		{name: "allowed-host", kind: texts("glob", func(s *Settings) *[]string { return &s.Pages.AllowedHosts }, checkHost), example: "www.example.com",
			help: "store only pages of this `HOST`, as nginx's $host has it; a glob; needed if the key does not contain the host"},
		{name: "allow-rewrites", kind: toggle(func(s *Settings) *bool { return &s.Pages.AllowRewrites }), defaults: []string{"false"}, example: "true",
			help: "store pages whose path nginx rewrites, under keys of $request_uri; right only if each URL has one page and nothing makes subrequests (SSI, auth_request, mirror)"},
		{name: "opaque-key", kind: toggle(func(s *Settings) *bool { return &s.Pages.OpaqueKey }), defaults: []string{"false"}, example: "true",
			help: "store pages with arguments under handed-over keys that contain no path, such as hashes; right only if URLs that differ in host, path or arguments have different keys"},
		{name: "trusted-header", kind: texts("header", func(s *Settings) *[]string { return &s.Pages.TrustedHeaders }, checkTrusted), example: "X-Forwarded-Host",
			help: "store pages for requests with this header `NAME`, such as X-Forwarded-Host; right only if nginx or a proxy of yours sets it"},
		{name: "vary-cookie", kind: word(func(s *Settings) *string { return &s.Pages.VaryCookie }, "refuse", "anonymous"), defaults: []string{"refuse"}, example: "anonymous",
			help: "handle pages with Vary: Cookie by this `POLICY`: refuse does not store them, anonymous stores them for requests with harmless cookies only, which is right only if nginx looks up no other request under that key"},
		{name: "format", kind: formatKind(), defaults: []string{"body"}, example: "body",
			help: "store pages in this `FORMAT`: body (nginx has memcached_pass), gzip (and memcached_gzip_flag) or http (srcache_fetch); see docs/formats.md"},
		{name: "gzip-flag", kind: gzipKind(), defaults: []string{"2"}, example: "2",
			help: "mark compressed pages with this `NUMBER`, that of nginx's memcached_gzip_flag, in the format gzip"},
		{name: "hit-type", kind: hitTypeKind(), defaults: []string{"text/html; charset=utf-8"}, example: "text/html; charset=utf-8",
			help: "store only pages of this Content-`TYPE`, which nginx's default_type and charset give to hits"},
		{name: "mime-types", kind: text("file", func(s *Settings) *string { return &s.Hits.MIMETypes }, nil), example: "/etc/nginx/mime.types",
			help: "read nginx's types map from this `FILE`, the one that nginx includes; without it uwgate uses nginx's stock map"},
		{name: "nginx-adds", kind: many("NAME: VALUE", func(s *Settings) *[]uwsgi.Field { return &s.Hits.Adds }, parseAdds), example: "X-Frame-Options: DENY",
			help: "store pages with this header, \"`NAME: VALUE`\", as nginx's add_header gives it to hits"},
		{name: "strict-headers", kind: toggle(func(s *Settings) *bool { return &s.Hits.StrictHeaders }), defaults: []string{"false"}, example: "true",
			help: "store no page with a security header that its hits would lack"},
		{name: "accept-unframed", kind: text("html", func(s *Settings) *string { return &s.Pages.AcceptUnframed }, checkUnframed), example: "html",
			help: "store pages of this `TYPE` that have no length, if they end as they should; only html, which ends in </html>"},
		{name: "max-object", kind: someBytes(func(s *Settings) *Size { return &s.Pages.MaxObject }), defaults: []string{Size((&policy.Policy{}).BodyLimit()).String()}, example: "512k",
			help: "store no body over this `SIZE`"},
		{name: "bypass-arg", kind: one("NAME=SECRET", func(s *Settings) *policy.Bypass { return &s.Pages.Bypass }, parseBypass), example: "nocache=LONG-RANDOM-TEXT", secret: true,
			help: "delete the page of a URL and store it again when a request has this argument, `NAME=SECRET`"},
		secretFileRow("bypass-arg", false, func(s *Settings) *string { return &s.Pages.BypassFile }),
		{name: "observe", kind: toggle(func(s *Settings) *bool { return &s.Pages.Observe }), defaults: []string{"false"}, example: "true",
			help: "decide, log and count as usual, but write nothing to memcached"},
		{name: "align-headers", kind: toggle(func(s *Settings) *bool { return &s.Hits.AlignHeaders }), defaults: []string{"true"}, example: "false", restart: true,
			help: "remove from the response that is stored the headers that its hits cannot have"},
		{name: "strip-tags", kind: toggle(func(s *Settings) *bool { return &s.Hits.StripTags }), defaults: []string{"true"}, example: "false",
			help: "remove the headers with tags for caches from responses: Surrogate-Key, xkey, Cache-Tag, Edge-Cache-Tag; false leaves them to another cache in front of nginx, and pages with them are stored in the format http only"},
	}
}

func checkExclude(text string) error {
	if !strings.HasPrefix(text, "/") {
		return errors.New("a path starts with a slash")
	}
	return nil
}

// sentinelKind is a list of texts, or the word none alone. An empty value, which a
// forgotten variable of the environment has, too, must not take a protection away.
func sentinelKind() kind {
	field := func(s *Settings) *[]string { return &s.Pages.Sentinels }
	k := texts("text", field, nil)
	k.take = func(s *Settings, text string) error {
		list := field(s)
		if alone := len(*list) == 0; text == "" || text == none && !alone || !alone && (*list)[0] == none {
			return errors.New("leave the setting out to have its defaults, or write none, alone, to have none")
		}
		*list = append(*list, text)
		return nil
	}
	return k
}

func checkTrusted(text string) error {
	if !IsHeaderName(text) {
		return errors.New("write the name of a header alone")
	}
	return nil
}

func checkUnframed(text string) error {
	if text != "html" {
		return errors.New("there is html only, for pages that end in </html>; without the setting no page without a length is stored")
	}
	return nil
}

func formatKind() kind {
	k := one("body, gzip, http", func(s *Settings) *policy.Format { return &s.Hits.Format }, policy.ParseFormat)
	k.blank = true
	return k
}

// gzipKind is one bit of memcached's flags.
func gzipKind() kind {
	return one("number", func(s *Settings) *uint { return &s.Hits.GzipFlag }, func(text string) (uint, error) {
		n, err := strconv.ParseUint(text, 0, 32)
		if err != nil || n == 0 || n&(n-1) != 0 {
			return 0, errors.New("write one bit, 1, 2, 4 and so on, the same as nginx's memcached_gzip_flag")
		}
		if uint32(n)&cachewriter.ReservedFlags != 0 {
			return 0, errors.New("uwgate marks all its pages with this bit, compressed or not; write another one, such as 2, here and in nginx's memcached_gzip_flag")
		}
		return uint(n), nil
	})
}

func hitTypeKind() kind {
	k := one("media type", func(s *Settings) *string { return &s.Hits.Type }, func(text string) (string, error) {
		if name, _, err := mime.ParseMediaType(text); err != nil || !strings.Contains(name, "/") {
			return "", errors.New("write a Content-Type")
		}
		return text, nil
	})
	k.blank = true
	return k
}

// parseAdds reads a header that nginx adds.
func parseAdds(text string) (uwsgi.Field, error) {
	name, value, _ := strings.Cut(text, ":")
	value = strings.TrimSpace(value)
	if !IsHeaderName(name) || value == "" {
		return uwsgi.Field{}, fmt.Errorf("write NAME: VALUE, what nginx's `add_header NAME VALUE;` adds")
	}
	return uwsgi.Field{Name: name, Value: value}, nil
}

func parseBypass(text string) (policy.Bypass, error) {
	if text == "" {
		return policy.Bypass{}, nil
	}
	return policy.ParseBypass(text)
}
