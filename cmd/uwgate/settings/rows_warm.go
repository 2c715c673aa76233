package settings

import (
	"errors"
	"fmt"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"uwgate/cmd/uwgate/warm"
)

// A Warm is which pages `uwgate warm` and `uwgate deploy-check` request, and how.
type Warm struct {
	Hottest     int      // stored pages; zero: none
	Sitemaps    []string // URLs or files
	URLs        []string // files with a URL a line; - is standard input
	Site        string   // as in https://www.example.com; empty: not named
	Hosts       []string // globs
	Limit       int      // zero: none
	Through     string   // nginx or gateway
	Connect     Address  // zero: the site's
	Rate        float64  // requests a second; zero: no bound
	Concurrency int
	Timeout     time.Duration
	DryRun      bool

	Ignore       []*regexp.Regexp // deploy-check: what is not compared
	ChangedFails bool             // deploy-check
}

// ForWarm returns the settings of `uwgate warm`.
func ForWarm() *Set {
	rows := append(warmRows(),
		headerRow("add a header to the requests, as `'Name: value'`"),
		insecureRow("accept any certificate of the site, as of one that is signed by itself"),
		verboseRow("print a line for each page"),
		jsonRow("print one JSON object; with -v one for each page, too"))
	return newSet(rows, allRows())
}

func warmRows() []row {
	return []row{
		{name: "sitemap", kind: texts("URL or file", func(s *Settings) *[]string { return &s.Command.Warm.Sitemaps }, notEmpty("a URL or the name of a file")), own: true,
			help: "request the pages of this `SITEMAP`, a URL or a file; an index, a robots.txt or a text with a URL a line are sitemaps, too, compressed or not"},
		{name: "urls", kind: texts("file", func(s *Settings) *[]string { return &s.Command.Warm.URLs }, notEmpty("the name of a file, or -")), own: true,
			help: "request the pages in this `FILE`, a URL or a path of --site a line; - is standard input"},
		hottestRow("0", 0, "request this `NUMBER` of stored pages, those that were served last; --memcached names the servers"),
		siteRow("take paths as those of this `SITE`, as in https://www.example.com"),
		{name: "host", kind: texts("glob", func(s *Settings) *[]string { return &s.Command.Warm.Hosts }, checkHostGlob), own: true,
			help: "request sitemaps and their pages of this `HOST`, too, a glob as in *.example.com; without it only those of the sitemap's host"},
		{name: "limit", kind: number(func(s *Settings) *int { return &s.Command.Warm.Limit }, 0, math.MaxInt32, ", 0 for all"), defaults: []string{"0"}, own: true,
			help: "request at most this `NUMBER` of pages; 0 for all"},
		{name: "through", kind: word(func(s *Settings) *string { return &s.Command.Warm.Through }, "nginx", "gateway"), defaults: []string{"nginx"}, own: true,
			help: "request pages through `nginx or gateway`: nginx serves those that are stored, and the gateway, at --listen, fetches and stores each again"},
		{name: "connect", kind: optionalAddress(func(s *Settings) *Address { return &s.Command.Warm.Connect }), own: true,
			help: "connect to nginx at this `ADDRESS` in place of the site's, as in 127.0.0.1:443"},
		{name: "rate", kind: one("number", func(s *Settings) *float64 { return &s.Command.Warm.Rate }, parseRate), defaults: []string{"0"}, own: true,
			help: "send at most this `NUMBER` of requests a second, as in 20 or 0.5; 0 for as many as --concurrency permits"},
		concurrencyRow("have at most this `NUMBER` of requests under way at once; they are fewer while responses are slow or visitors wait for a worker"),
		timeoutRow(),
		{name: "dry-run", kind: toggle(func(s *Settings) *bool { return &s.Command.Warm.DryRun }), own: true,
			help: "print the pages, a URL a line, and request none"},
	}
}

// ForDeployCheck returns the settings of `uwgate deploy-check`.
func ForDeployCheck() *Set {
	rows := []row{
		hottestRow("100", 1, "compare this `NUMBER` of stored pages, those that were served last"),
		{name: "host", kind: texts("glob", func(s *Settings) *[]string { return &s.Command.Warm.Hosts }, checkHostGlob), own: true,
			help: "compare pages of this `HOST` only, a glob as in *.example.com"},
		siteRow("fetch pages as those of this `SITE`, if it has a port or pages have no scheme in their keys, as in https://www.example.com:8443"),
		{name: "ignore", kind: many("regular expression", func(s *Settings) *[]*regexp.Regexp { return &s.Command.Warm.Ignore }, parseIgnore), own: true,
			help: "compare pages without what this `REGEX` matches, as in 'class=\"ad-[^\"]*\"'; (?s) at its beginning lets a dot match line feeds"},
		{name: "changed-fails", kind: toggle(func(s *Settings) *bool { return &s.Command.Warm.ChangedFails }), own: true,
			help: "exit with status 1 if a page has changed, too"},
		concurrencyRow("compare this `NUMBER` of pages at once"),
		timeoutRow(),
		headerRow("add a header to the requests, as `'Name: value'`"),
		verboseRow("print a line for each page"),
		jsonRow("print one JSON object"),
	}
	return newSet(rows, allRows())
}

func parseIgnore(text string) (*regexp.Regexp, error) {
	r, err := regexp.Compile(text)
	if err == nil && r.MatchString("") {
		err = errors.New("this matches the empty text; write what is to be ignored")
	}
	return r, err
}

func hottestRow(usual string, least int64, help string) row {
	return row{name: "hottest", kind: number(func(s *Settings) *int { return &s.Command.Warm.Hottest }, least, 10_000, ""), defaults: []string{usual}, own: true, help: help}
}

func siteRow(help string) row {
	return row{name: "site", kind: one("URL", func(s *Settings) *string { return &s.Command.Warm.Site }, parseSite), own: true, help: help}
}

func concurrencyRow(help string) row {
	return row{name: "concurrency", kind: number(func(s *Settings) *int { return &s.Command.Warm.Concurrency }, 1, 1000, ""), defaults: []string{"2"}, own: true, help: help}
}

func timeoutRow() row {
	return row{name: "timeout", kind: period(func(s *Settings) *time.Duration { return &s.Command.Warm.Timeout }, positive), defaults: []string{"30s"}, own: true,
		help: "wait this `TIME` at most for a whole response"}
}

func notEmpty(what string) func(string) error {
	return func(text string) error {
		if text == "" {
			return errors.New("write " + what)
		}
		return nil
	}
}

// parseSite returns a site without a path.
func parseSite(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	url, err := warm.Normalize("", text)
	if err != nil {
		return "", err
	}
	site := strings.TrimSuffix(url, "/")
	if strings.Count(site, "/") > 2 {
		return "", errors.New("write the site alone, as in https://www.example.com, without a path")
	}
	return site, nil
}

func checkHostGlob(text string) error {
	if _, err := path.Match(text, ""); err != nil || text == "" || strings.ContainsAny(text, "/ ") {
		return errors.New("write the name of a host, or a glob, as in *.example.com")
	}
	return nil
}

func parseRate(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n <= 1e6) {
		return 0, fmt.Errorf("write a number of requests a second, as in 20 or 0.5, or 0 for no bound")
	}
	return n, nil
}
