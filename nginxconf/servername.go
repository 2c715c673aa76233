package nginxconf

import (
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A listener is what listens on an address: the servers by their names, and the one for all
// other hosts; nil if there is none.
type listener struct {
	names     serverNames
	otherwise *Server
}

// A listenerKey is an address, itself or as one that a wildcard takes.
type listenerKey struct {
	at       netip.AddrPort
	wildcard bool
}

// listeners remembers what listens on each address, since thousands of servers may share
// one. It is safe for concurrent use.
type listeners struct {
	mu    sync.Mutex
	known map[listenerKey]*listener
}

// maxListeners is how many addresses are remembered.
const maxListeners = 1000

func (l *listeners) of(servers []*Server, key listenerKey) *listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.known[key]; known != nil {
		return known
	}
	if l.known == nil || len(l.known) >= maxListeners {
		l.known = map[listenerKey]*listener{}
	}
	l.known[key] = newListener(servers, key)
	return l.known[key]
}

func newListener(servers []*Server, key listenerKey) *listener {
	l := &listener{names: newServerNames()}
	isSaid := false
	for _, s := range servers {
		listens := false
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			if !e.has(key.at.Port()) || !e.isFor(key.at.Addr(), key.wildcard) {
				continue
			}
			listens = true
			if l.otherwise == nil || e.IsDefault && !isSaid {
				l.otherwise, isSaid = s, e.IsDefault
			}
		}
		if listens {
			l.names.add(s)
		}
	}
	return l
}

// serverNames are the names of servers in lower case. Of servers with the same name the first
// one counts.
type serverNames struct {
	complete     map[string]*Server
	heads, tails map[string]*Server // *.example.com and www.example.*, without the star
	regexes      []namePattern      // in order
}

type namePattern struct {
	regex  *regexp.Regexp
	server *Server
}

func newServerNames() serverNames {
	return serverNames{complete: map[string]*Server{}, heads: map[string]*Server{}, tails: map[string]*Server{}}
}

func (n *serverNames) add(s *Server) {
	if len(s.Names) == 0 {
		addName(n.complete, "", s)
	}
	for _, name := range s.Names {
		if pattern, ok := strings.CutPrefix(name, "~"); ok {
			if re, err := regexp.Compile("(?i)" + pattern); err == nil {
				n.regexes = append(n.regexes, namePattern{re, s})
			}
			continue
		}
		n.addPlain(Lower(name), s)
	}
}

func (n *serverNames) addPlain(name string, s *Server) {
	if name == "$hostname" {
		name, _ = os.Hostname()
		name = Lower(name)
	}
	suffix, isHead := strings.CutPrefix(name, "*")
	prefix, isTail := strings.CutSuffix(name, "*")
	switch {
	case strings.HasPrefix(name, "."):
		addName(n.complete, name[1:], s)
		addName(n.heads, name, s)
	case isHead:
		addName(n.heads, suffix, s)
	case isTail:
		addName(n.tails, prefix, s)
	default:
		addName(n.complete, name, s)
	}
}

func addName(all map[string]*Server, name string, s *Server) {
	if all[name] == nil {
		all[name] = s
	}
}

// find returns the server that has a name for the host, or nil: the whole name first, then
// the longest wildcard at the beginning, then that at the end, then the first regex.
func (n *serverNames) find(host string) *Server {
	if s := n.complete[host]; s != nil {
		return s
	}
	for i := 1; i <= len(host); i++ {
		if s := n.heads[host[i:]]; s != nil {
			return s
		}
	}
	for i := len(host) - 1; i >= 0; i-- {
		if s := n.tails[host[:i]]; s != nil {
			return s
		}
	}
	i := slices.IndexFunc(n.regexes, func(p namePattern) bool { return host != "" && p.regex.MatchString(host) })
	if i < 0 {
		return nil
	}
	return n.regexes[i].server
}

// normalHost returns a Host header as nginx compares it (ngx_http_validate_host): without a
// port and a dot at the end, in lower case.
func normalHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return Lower(strings.TrimSuffix(host, "."))
}
