package settings

import (
	"errors"
	"math"
	"net/netip"
	"time"

	"uwgate/gateway/purge"
)

func purgeRows() []row {
	return []row{
		{name: "purge-from", kind: many("network", func(s *Settings) *[]netip.Prefix { return &s.Purges.From }, parsePurgers), example: "10.0.0.0/8", restart: true,
			help: "accept PURGE requests of clients in this `NETWORK`, by the address that nginx reports (REMOTE_ADDR), as in 10.0.0.0/8; without this and a token, the workers get them as any other request (docs/purging.md)"},
		{name: "purge-token", kind: text("text", func(s *Settings) *string { return &s.Purges.Token }, checkToken), example: "LONG-RANDOM-TEXT", restart: true, secret: true,
			help: "accept PURGE requests with this `TOKEN` from any address, in X-Purge-Token or Authorization: Bearer; it has at least 16 letters and digits, as from openssl rand -hex 16"},
		secretFileRow("purge-token", true, func(s *Settings) *string { return &s.Purges.TokenFile }),
		{name: "purge-default", kind: word(func(s *Settings) *string { return &s.Purges.Default }, purge.Reaches...), defaults: []string{string(purge.Exact)}, example: string(purge.Query), restart: true,
			help: "purge this `SCOPE` for a PURGE without X-Purge-Scope: exact is the page of the URL, query the pages of its path with any query string, prefix all pages whose URLs begin with its path"},
		{name: "purge-soft-limit", kind: period(func(s *Settings) *time.Duration { return &s.Purges.SoftLimit }, checkSoftLimit), defaults: []string{"1m"}, example: "1m", restart: true,
			help: "serve the old page for this `TIME` at most after a soft purge, while the new one is fetched; then delete it"},
		{name: "purge-rate", kind: number(func(s *Settings) *int { return &s.Purges.Rate }, 0, math.MaxInt32/10, ""), defaults: []string{"100"}, example: "100", restart: true,
			help: "carry out this `NUMBER` of purges a second on average, and ten times as many at once; answer 429 to others; 0 for no bound"},
	}
}

func checkSoftLimit(d time.Duration) error {
	if d < time.Second || d > time.Hour {
		return errors.New("write a time from 1s to 1h")
	}
	return nil
}

// ForPurge returns the settings of `uwgate purge`.
func ForPurge() *Set {
	request := func(name, help string, field func(r *purge.Request) *bool) row {
		return row{name: name, kind: toggle(func(s *Settings) *bool { return field(&s.Command.Purge) }), own: true, help: help}
	}
	items := func(name, word, help string, field func(r *purge.Request) *[]string) row {
		return row{name: name, kind: texts(word, func(s *Settings) *[]string { return field(&s.Command.Purge) }, anything), own: true, help: help}
	}
	return newSet([]row{
		items("path", "URL", "purge the pages with the path of this `URL` and any query string", func(r *purge.Request) *[]string { return &r.Paths }),
		items("prefix", "URL", "purge the pages whose URLs begin with this `URL`", func(r *purge.Request) *[]string { return &r.Prefixes }),
		items("tag", "tag", "purge the pages with this `TAG`, of all sites", func(r *purge.Request) *[]string { return &r.Tags }),
		items("site", "host", "purge the pages of this `HOST`", func(r *purge.Request) *[]string { return &r.Sites }),
		request("all", "purge all pages that uwgate has stored, and nothing else that is in memcached", func(r *purge.Request) *bool { return &r.All }),
		request("soft", "serve pages that are being visited until they have been fetched again; delete the others", func(r *purge.Request) *bool { return &r.Soft }),
		request("refresh", "delete all pages, and fetch those again that were being visited", func(r *purge.Request) *bool { return &r.Refresh }),
		request("wait", "wait until pages have been fetched again, and up to 30s for memcached servers that cannot be reached", func(r *purge.Request) *bool { return &r.Wait }),
		request("dry-run", "find the pages, and delete none", func(r *purge.Request) *bool { return &r.DryRun }),
		jsonRow("print one JSON object"),
	}, only("admin", "admin-token", "admin-token-file", "config"))
}

// parsePurgers reads a network, but not that of all visitors.
func parsePurgers(text string) (netip.Prefix, error) {
	p, err := parseNetwork(text)
	if err == nil && p.Bits() == 0 {
		err = errors.New("with this every visitor could purge: write the network of those who may, or use --purge-token")
	}
	return p, err
}
