package settings

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strings"

	"uwgate/gateway/purge"
)

func purgeRows() []row {
	return []row{
		{name: "purge-from", kind: many("network", func(s *Settings) *[]netip.Prefix { return &s.Purges.From }, parsePurgers), example: "10.0.0.0/8", restart: true,
			help: "accept PURGE requests of clients in this `NETWORK`, by the address that nginx reports (REMOTE_ADDR), as in 10.0.0.0/8; without this and a token, the workers get them as any other request (docs/purging.md)"},
		{name: "purge-token", kind: text("text", func(s *Settings) *string { return &s.Purges.Token }, checkToken), example: "LONG-RANDOM-TEXT", restart: true, secret: true,
			help: "accept PURGE requests with this `TOKEN` from any address, in X-Purge-Token or Authorization: Bearer"},
		{name: "purge-token-file", kind: text("file", func(s *Settings) *string { return &s.Purges.TokenFile }, nil), example: "/etc/uwgate/purge-token", restart: true,
			help: "read the --purge-token from this `FILE`, which has nothing else in it"},
		{name: "purge-default", kind: word(func(s *Settings) *string { return &s.Purges.Default }, purge.Reaches...), defaults: []string{string(purge.Exact)}, example: string(purge.Query), restart: true,
			help: "purge this `SCOPE` for a PURGE without X-Purge-Scope: exact is the page of the URL, query the pages of its path with any query string, prefix all pages whose URLs begin with its path"},
		{name: "purge-rate", kind: number(func(s *Settings) *int { return &s.Purges.Rate }, 0, math.MaxInt32/10, ""), defaults: []string{"100"}, example: "100", restart: true,
			help: "carry out this `NUMBER` of purges a second on average, and ten times as many at once; answer 429 to others; 0 for no bound"},
	}
}

// parsePurgers reads a network, but not that of all visitors.
func parsePurgers(text string) (netip.Prefix, error) {
	p, err := parseNetwork(text)
	if err == nil && p.Bits() == 0 {
		err = errors.New("with this every visitor could purge: write the network of those who may, or use --purge-token")
	}
	return p, err
}

// checkPurges reads the file of the token, and looks at what does not go together.
func (s *Settings) checkPurges() error {
	p := &s.Purges
	if p.TokenFile == "" {
		return nil
	}
	if p.Token != "" {
		return s.conflict("purge-token-file", []string{"purge-token"}, "%s sets the token, too: remove one of the two", s.mention("purge-token"))
	}
	b, err := os.ReadFile(p.TokenFile)
	if err != nil {
		return s.Refuse("purge-token-file", fmt.Errorf("%w; write the token into it, as in `openssl rand -hex 16 >FILE`", withoutPath(err)))
	}
	p.Token = strings.TrimSpace(string(b))
	if err := checkToken(p.Token); err != nil {
		return s.Refuse("purge-token-file", fmt.Errorf("what is in the file is no token: %w", err))
	}
	return nil
}

// withoutPath returns the cause of an error of package os.
func withoutPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
