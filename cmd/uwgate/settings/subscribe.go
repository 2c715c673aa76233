package settings

import (
	"crypto"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"uwgate/gateway/backend"
	"uwgate/gateway/subscription"
)

func subscribeRows() []row {
	return []row{
		{name: "subscribe", kind: many("address", func(s *Settings) *[]Address { return &s.Subscribe.Addresses }, parseAddress), example: "10.0.0.1:4040", restart: true,
			help: "accept the announcements of uWSGI's subscribe-to and subscribe2 at this `ADDRESS`, of UDP or unix:/path (docs/subscriptions.md)"},
		{name: "subscribe-from", kind: many("network", func(s *Settings) *[]netip.Prefix { return &s.Subscribe.Networks }, parseNetwork), example: "10.0.0.0/8", restart: true,
			help: "accept announcements from this `NETWORK`, of servers in it; only from loopback without the setting"},
		{name: "subscribe-key", kind: texts("glob", func(s *Settings) *[]string { return &s.Subscribe.Keys }, checkSubscribeKey), example: "*.example.com", restart: true,
			help: "accept announcements for keys like this `KEY`, a glob; for all keys without the setting"},
		{name: "subscribe-modifier", kind: many("number", func(s *Settings) *[][2]uint8 { return &s.Subscribe.AllowModifiers }, parseModifiers), example: "7:2", restart: true,
			help: "allow servers to ask for requests with this `NUMBER` as modifier1, or for modifier1 and modifier2 as in 7:2"},
		{name: "subscribe-sign", kind: signKind(), example: "/etc/uwgate/keys", restart: true,
			help: "accept only announcements that are signed with a key whose public part is KEY.pem in this `DIRECTORY`; SHA1:DIRECTORY and SHA512:DIRECTORY set another digest than SHA256"},
		{name: "subscribe-tolerance", kind: period(func(s *Settings) *time.Duration { return &s.Subscribe.Tolerance }, positive), defaults: []string{"17s"}, example: "17s", restart: true,
			help: "remove a server that has not announced itself for this `TIME`"},
		{name: "subscribe-max-keys", kind: number(func(s *Settings) *int { return &s.Subscribe.MaxKeys }, 1, maxCount, ""), defaults: []string{"1024"}, example: "1024", restart: true,
			help: "accept announcements for this `NUMBER` of keys at most"},
		{name: "subscribe-max-nodes", kind: number(func(s *Settings) *int { return &s.Subscribe.MaxNodes }, 1, maxCount, ""), defaults: []string{"128"}, example: "128", restart: true,
			help: "accept this `NUMBER` of servers for a key at most"},
		{name: "subscribe-rate", kind: number(func(s *Settings) *int { return &s.Subscribe.Rate }, 1, maxCount, ""), defaults: []string{"1000"}, example: "1000", restart: true,
			help: "accept this `NUMBER` of announcements a second from one address at most"},
		{name: "subscribe-allow-unix", kind: toggle(func(s *Settings) *bool { return &s.Subscribe.AllowUnix }), defaults: []string{"false"}, example: "true", restart: true,
			help: "accept announcements of UNIX sockets over UDP, too"},
		{name: "subscribe-state", kind: text("file", func(s *Settings) *string { return &s.Subscribe.State }, nil), example: "/var/lib/uwgate/servers.json", restart: true,
			help: "keep the announced servers in this `FILE` across restarts of the gateway"},
	}
}

// maxCount is more than anybody needs.
const maxCount = 1_000_000

// parseModifiers reads a modifier1, and perhaps a modifier2.
func parseModifiers(text string) ([2]uint8, error) {
	first, second, both := strings.Cut(text, ":")
	if !both {
		second = "0"
	}
	m1, err1 := strconv.ParseUint(first, 10, 8)
	m2, err2 := strconv.ParseUint(second, 10, 8)
	if err1 != nil || err2 != nil {
		return [2]uint8{}, errors.New("write a number from 0 to 255, or two with a colon between them")
	}
	return [2]uint8{uint8(m1), uint8(m2)}, nil
}

func checkSubscribeKey(glob string) error {
	if _, err := path.Match(glob, ""); err != nil || glob == "" {
		return errors.New("write a host or another key, in which * and ? stand for any letters")
	}
	return nil
}

// signKind is a directory, after a digest and a colon perhaps.
func signKind() kind {
	k := text("directory", func(s *Settings) *string { return &s.Subscribe.PublicKeys }, nil)
	k.take = func(s *Settings, text string) error {
		dir, digest, err := parseSign(text)
		if err == nil {
			s.Subscribe.PublicKeys, s.Subscribe.Digest = dir, digest
		}
		return err
	}
	k.show = func(s *Settings) string { return fmt.Sprint(s.Subscribe.Digest, " ", s.Subscribe.PublicKeys) }
	return k
}

func parseSign(text string) (dir string, digest crypto.Hash, err error) {
	name, dir, ok := strings.Cut(text, ":")
	if !ok {
		return text, 0, nil
	}
	digest, ok = map[string]crypto.Hash{"SHA1": crypto.SHA1, "SHA256": crypto.SHA256, "SHA512": crypto.SHA512}[strings.ToUpper(name)]
	if !ok {
		return "", 0, errors.New("write DIRECTORY, SHA1:DIRECTORY, SHA256:DIRECTORY or SHA512:DIRECTORY")
	}
	return dir, digest, nil
}

// makeSubscriptions returns the registry of announced servers, nil if no announcements
// are accepted. Their pools have the options of pools.
func (s *Settings) makeSubscriptions(pools *backend.Pools) (*subscription.Registry, error) {
	sub := &s.Subscribe
	if len(sub.Addresses) == 0 {
		return nil, s.needSubscribe()
	}
	if dir := sub.PublicKeys; dir != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, s.Refuse("subscribe-sign", fmt.Errorf("%q is no directory; put the public keys there, one file KEY.pem each", dir))
		}
	}
	r := &subscription.Registry{
		Admission: sub.Admission,
		Limits:    sub.Limits,
		Tolerance: sub.Tolerance,
		Snapshot:  sub.State,
		Make:      MakesSubscribed(pools),
	}
	if pools != nil {
		pools.Subscribed, pools.Announced = r.Pool, r.Pools
	}
	return r, nil
}

// needSubscribe refuses settings of announcements where none are accepted: somebody
// would think that they are in force.
func (s *Settings) needSubscribe() error {
	if s.bad["subscribe"] {
		return nil
	}
	for _, r := range subscribeRows() {
		if !s.Origin(r.name).IsDefault() {
			return fmt.Errorf("%s has no effect without --subscribe: add --subscribe ADDRESS, where uWSGI's subscribe2 sends to, or remove this setting", s.Origin(r.name).name(r.name))
		}
	}
	return nil
}

// MakesSubscribed returns what makes the pools of announced servers, with the options of
// pools.
func MakesSubscribed(pools *backend.Pools) func(key string) *backend.Pool {
	return func(key string) *backend.Pool {
		p, _ := pools.Make()         // without servers it cannot fail
		p.Name = "subscribed:" + key // no other pool has such a name
		return p
	}
}
