package subscription

import (
	"strings"

	"uwgate/gateway/backend"
)

const (
	maxLookup   = 255 + len(":65535") // bytes: the longest key with a port
	maxSuffixes = 5                   // labels that a lookup removes
)

// Pool returns the pool for a host or another key, or nil if no server has announced
// it. Pool looks for the key as it is, in lower case, without its port, and then for
// its suffixes: a server with the key .example.com gets the requests of all hosts
// below example.com, up to five labels deep.
func (s *Registry) Pool(key string) *backend.Pool {
	if key == "" || len(key) > maxLookup {
		return nil
	}
	if p := s.exact(key); p != nil {
		return p
	}
	lower := strings.ToLower(key)
	if p := s.exact(lower); p != nil {
		return p
	}
	host := backend.WithoutPort(lower)
	if p := s.exact(host); p != nil {
		return p
	}
	return s.suffix(host)
}

func (s *Registry) exact(key string) *backend.Pool {
	p, _ := s.pools.Load(key)
	found, _ := p.(*backend.Pool)
	return found
}

func (s *Registry) suffix(host string) *backend.Pool {
	for range maxSuffixes {
		if host == "" {
			return nil
		}
		dot := strings.IndexByte(host[1:], '.')
		if dot < 0 {
			return nil
		}
		host = host[1+dot:]
		if p := s.exact(host); p != nil {
			return p
		}
	}
	return nil
}

// Pools returns all pools that Pool can return.
func (s *Registry) Pools() []*backend.Pool {
	var all []*backend.Pool
	s.pools.Range(func(_, p any) bool {
		all = append(all, p.(*backend.Pool))
		return true
	})
	return all
}
