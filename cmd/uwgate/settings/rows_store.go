package settings

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
)

func storeRows() []row {
	return []row{
		{name: "memcached", kind: many("server", func(s *Settings) *[]MemcachedServer { return &s.Store.Servers }, parseMemcached), example: "127.0.0.1:11211",
			help: "write pages to this memcached `SERVER`, as nginx's upstream block has it, as in \"10.0.0.1:11211 weight=2\""},
		{name: "hash", kind: hashKind(), defaults: []string{"none"}, example: "consistent",
			help: "choose among several servers as nginx does, by this `METHOD`: modulo (nginx has `hash …;`), consistent (`hash … consistent;`) or none (write to all)"},
		{name: "key", kind: text("template", func(s *Settings) *string { return &s.Key.Template }, checkTemplate), example: "$scheme://$host$request_uri",
			help: "make keys by this `TEMPLATE`, that of nginx's set $memcached_key; not needed if nginx hands CACHE_KEY over"},
		{name: "generation", kind: text("text", func(s *Settings) *string { return &s.Key.Generation }, policy.CheckGeneration), example: "r42",
			help: "begin all keys with this `TEXT` and a colon, as the configuration of uwgate nginx does: with another one, nginx finds no page of before (docs/generation.md)"},
		{name: "nginx", kind: text("file", func(s *Settings) *string { return &s.Key.Nginx }, nil), example: "/etc/nginx/nginx.conf",
			help: "read nginx's configuration from this `FILE`, the main one, and take from it what is not set of memcached, hash, key, format, gzip-flag, hit-type, mime-types and nginx-adds"},
		{name: "nginx-version", kind: versionKind(), example: "1.22.1",
			help: "make keys as this `VERSION` of nginx does, as in 1.22.1; without it a request is not stored if versions make different keys of it"},
	}
}

// parseMemcached parses a server line, which must name a port: of a server without one nginx
// asks port 80.
func parseMemcached(line string) (MemcachedServer, error) {
	if err := noScheme(line); err != nil {
		return MemcachedServer{}, err
	}
	server, err := cachewriter.ParseServer(line)
	if err == nil && lacksPort(server.Name) {
		err = fmt.Errorf("without a port nginx takes 80; write %s:11211, here and in nginx", server.Name)
	}
	return MemcachedServer{line, server}, err
}

// lacksPort reports whether the address of a server is a host alone. A port is behind the
// last colon, unless that is an IPv6 address's own.
func lacksPort(addr string) bool {
	_, isSocket := nginxconf.CutUnix(addr)
	return !isSocket && !strings.HasPrefix(addr, "@") && (!strings.Contains(addr, ":") || strings.HasSuffix(addr, "]"))
}

func hashKind() kind {
	k := one("modulo, consistent, none", func(s *Settings) *cachewriter.Method { return &s.Store.Hash }, cachewriter.ParseMethod)
	k.blank = true
	return k
}

func versionKind() kind {
	k := one("version", func(s *Settings) *policy.Version { return &s.Key.NginxVersion }, policy.ParseVersion)
	k.blank = true
	return k
}

func checkTemplate(text string) error {
	_, err := policy.ParseTemplate(text)
	return err
}

// resolveTimeout bounds the look-up of all names of memcached servers.
const resolveTimeout = 10 * time.Second

var errNoMemcached = errors.New("--memcached is missing: name the server of your memcached_pass as it is written there, as in --memcached 127.0.0.1:11211")

// MemcachedServers returns the servers of --memcached with their addresses. It looks
// names up.
func (s *Settings) MemcachedServers(ctx context.Context) ([]cachewriter.Server, error) {
	if len(s.Store.Servers) == 0 {
		return nil, errNoMemcached
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	servers := make([]cachewriter.Server, len(s.Store.Servers))
	for i, m := range s.Store.Servers {
		var err error
		if servers[i], err = m.Resolve(ctx, nil); err != nil {
			return nil, s.refuse("memcached", m.Line, err)
		}
	}
	return servers, nil
}

// Ring returns the ring of --memcached and --hash. It looks names up.
func (s *Settings) Ring(ctx context.Context) (*cachewriter.Ring, error) {
	servers, err := s.MemcachedServers(ctx)
	if err != nil {
		return nil, err
	}
	ring, err := cachewriter.NewRing(s.Store.Hash, servers...)
	if err != nil {
		return nil, s.Refuse("memcached", err)
	}
	return ring, nil
}

// Template returns the template of keys, "" if it is not known: that of --key, else that
// of nginx's configuration.
func (s *Settings) Template() string {
	if s.Key.Template != "" || s.Nginx == nil {
		return s.ownKey()
	}
	return s.Nginx.Key
}

// ownKey returns the template of --key with the generation, "" if none is given.
func (s *Settings) ownKey() string {
	if s.Key.Template == "" {
		return ""
	}
	return policy.WithGeneration(s.Key.Generation, s.Key.Template)
}

// DerivedKey returns the template of keys that nginx does not hand over, "" if it hands
// them over.
func (s *Settings) DerivedKey() string {
	if s.Nginx != nil && s.Nginx.HandedOver {
		return s.ownKey()
	}
	return s.Template()
}

// ParseTemplate returns the template for keys: Template, or what stands in for it.
func (s *Settings) ParseTemplate(standIn string) (*policy.Template, error) {
	t, err := policy.ParseTemplate(cmp.Or(s.Template(), standIn))
	if err != nil {
		return nil, s.Refuse("key", err)
	}
	if strings.HasPrefix(cmp.Or(s.Template(), standIn), policy.WithGeneration(s.Key.Generation, "")) {
		t.Generation = s.Key.Generation
	}
	t.Nginx = s.Key.NginxVersion
	t.Visitors = s.MakeVisitors()
	return t, nil
}
