package settings

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"uwgate/gateway/backend"
	"uwgate/gateway/subscription"
)

func subscribeFlags() []cli.Flag {
	return []cli.Flag{
		List(CatPools, "subscribe", "take the announcements of uWSGI's subscribe-to and subscribe2 at this UDP `ADDRESS` or unix:/path (repeatable; docs/subscriptions.md)"),
		List(CatPools, "subscribe-from", "`NETWORK` that servers may announce themselves from, and be in; loopback alone without it (repeatable)"),
		List(CatPools, "subscribe-key", "`KEY` that servers may announce themselves for; globs; any without it (repeatable)"),
		List(CatPools, "subscribe-modifier", "`NUMBER` of a modifier1 that servers may ask for, with a modifier2 as in 7:2 (repeatable)"),
		text(CatPools, "subscribe-sign", "take signed announcements only, by the public keys KEY.pem in this `DIRECTORY`; SHA1:DIRECTORY and SHA512:DIRECTORY for another digest than SHA256", ""),
		period(CatPools, "subscribe-tolerance", "after which a server that has not announced itself again is gone", 17*time.Second),
		count("subscribe-max-keys", "`NUMBER` of keys that servers may announce themselves for, all together", 1024),
		count("subscribe-max-nodes", "`NUMBER` of servers that a key may have", 128),
		count("subscribe-rate", "`NUMBER` of announcements a second that are taken from one address", 1000),
		toggle(CatPools, "subscribe-allow-unix", "take UNIX sockets for servers' addresses over UDP, too", false),
		&cli.StringFlag{Category: CatPools, Name: "subscribe-state", EnvVars: env("subscribe-state"), TakesFile: true,
			Usage: "keep the servers in this `FILE` while the gateway restarts"},
	}
}

func count(name, usage string, value int) cli.Flag {
	return &cli.IntFlag{Category: CatPools, Name: name, Usage: usage, Value: value, EnvVars: env(name)}
}

// parseSubscriptions comes after parsePools.
func parseSubscriptions(c *cli.Context, cfg *Config) error {
	s := &subscription.Registry{
		Tolerance: c.Duration("subscribe-tolerance"),
		Snapshot:  c.String("subscribe-state"),
		Admission: subscription.Admission{AllowUnix: c.Bool("subscribe-allow-unix")},
		Limits:    subscription.Limits{MaxKeys: c.Int("subscribe-max-keys"), MaxNodes: c.Int("subscribe-max-nodes"), Rate: c.Int("subscribe-rate")},
		Make:      MakesSubscribed(cfg.Pools),
	}
	err := errors.Join(parseSources(c, cfg, s), parseSubscribeKeys(c, s), parseModifiers(c, s), parseSign(c.String("subscribe-sign"), s), checkCounts(c))
	if len(cfg.Subscribe) == 0 {
		return errors.Join(err, needSubscribe(c))
	}
	if s.Tolerance <= 0 {
		err = errors.Join(err, fmt.Errorf("--subscribe-tolerance %v: give a time over 0, as in 17s", s.Tolerance))
	}
	if err == nil {
		cfg.Subscriptions = s
		cfg.Pools.Subscribed, cfg.Pools.Announced = s.Pool, s.Pools
	}
	return err
}

// needSubscribe refuses what is said about announcements if none are taken: it would
// be thought to hold.
func needSubscribe(c *cli.Context) error {
	for _, f := range subscribeFlags() {
		if name := f.Names()[0]; c.IsSet(name) {
			return fmt.Errorf("--%s means nothing without --subscribe: add --subscribe ADDRESS, where uWSGI's subscribe2 sends to, or take this out", name)
		}
	}
	return nil
}

// maxCount is more than anybody has a use for.
const maxCount = 1_000_000

func checkCounts(c *cli.Context) error {
	var errs []error
	for _, name := range []string{"subscribe-max-keys", "subscribe-max-nodes", "subscribe-rate"} {
		if n := c.Int(name); n < 1 || n > maxCount {
			errs = append(errs, fmt.Errorf("--%s %d: give a number from 1 to %d", name, n, maxCount))
		}
	}
	return errors.Join(errs...)
}

// MakesSubscribed returns what makes the pools of announced servers, with the options
// that pools have.
func MakesSubscribed(pools *backend.Pools) func(key string) *backend.Pool {
	return func(key string) *backend.Pool {
		p, _ := pools.Make()         // its errors have been reported
		p.Name = "subscribed:" + key // as no other pool is called
		return p
	}
}

func parseSources(c *cli.Context, cfg *Config, s *subscription.Registry) error {
	var errs []error
	cfg.Subscribe = c.StringSlice("subscribe")
	for _, addr := range cfg.Subscribe {
		if _, _, err := backend.ParseAddr(addr); err != nil {
			errs = append(errs, fmt.Errorf("--subscribe: %w", err))
		}
	}
	for _, n := range c.StringSlice("subscribe-from") {
		p, err := parseNetwork(n)
		if err != nil {
			errs = append(errs, fmt.Errorf("--subscribe-from %q: write a network as 10.0.0.0/8, or one address", n))
		}
		s.Networks = append(s.Networks, p)
	}
	return errors.Join(errs...)
}

func parseSubscribeKeys(c *cli.Context, s *subscription.Registry) error {
	for _, glob := range c.StringSlice("subscribe-key") {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			return fmt.Errorf("--subscribe-key %q: write a host or another key, with * and ? if need be", glob)
		}
		s.Keys = append(s.Keys, glob)
	}
	return nil
}

func parseModifiers(c *cli.Context, s *subscription.Registry) error {
	for _, text := range c.StringSlice("subscribe-modifier") {
		first, second, both := strings.Cut(text, ":")
		if !both {
			second = "0"
		}
		m1, err1 := strconv.ParseUint(first, 10, 8)
		m2, err2 := strconv.ParseUint(second, 10, 8)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("--subscribe-modifier %q: write a number from 0 to 255, or two, as in 7:2", text)
		}
		s.AllowModifiers = append(s.AllowModifiers, [2]uint8{uint8(m1), uint8(m2)})
	}
	return nil
}

func parseSign(text string, s *subscription.Registry) error {
	if text == "" {
		return nil
	}
	s.PublicKeys = text
	if name, dir, ok := strings.Cut(text, ":"); ok {
		s.PublicKeys = dir
		s.Digest, ok = map[string]crypto.Hash{"SHA1": crypto.SHA1, "SHA256": crypto.SHA256, "SHA512": crypto.SHA512}[strings.ToUpper(name)]
		if !ok {
			return fmt.Errorf("--subscribe-sign %q: there are the digests SHA1, SHA256 and SHA512", text)
		}
	}
	if info, err := os.Stat(s.PublicKeys); err != nil || !info.IsDir() {
		return fmt.Errorf("--subscribe-sign %q: %q is no directory; put the public keys there, a file KEY.pem each", text, s.PublicKeys)
	}
	return nil
}
