package settings

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"uwgate/gateway/backend"
	"uwgate/nginxconf/snippet"
)

// backups returns the servers of the default pool that nginx can ask while a gateway at these
// addresses is down, as it would.
func (s *Settings) backups(gateways []string, secure bool) snippet.Workers {
	if !s.Command.Backup || len(s.Backends.Servers) == 0 || s.bad["backend"] {
		return snippet.Workers{}
	}
	if why := s.onlyThroughGateway(secure); why != "" {
		return snippet.Workers{NoBackup: why}
	}
	isNear := !slices.ContainsFunc(gateways, func(a string) bool { return !snippet.IsLocal(a) })
	var lines, last []string
	for _, text := range s.Backends.Servers {
		line, isLast := backupLine(strings.Fields(text), isNear)
		switch {
		case line == "":
		case isLast:
			last = append(last, line)
		default:
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		lines = last
	}
	if len(lines) == 0 {
		return snippet.Workers{NoBackup: "nginx may not be able to reach the servers of --backend, or to resolve their names when it starts"}
	}
	return snippet.Workers{Backups: lines}
}

// onlyThroughGateway says why nginx must not send requests to the workers itself. It is empty
// if it may.
func (s *Settings) onlyThroughGateway(secure bool) string {
	has := func(key string) bool {
		return slices.ContainsFunc(s.Backends.values(findPoolKey(key)), func(value string) bool { return value != "0" })
	}
	switch {
	case secure:
		return "uwgate uses TLS, and nginx uses it for all servers of an upstream or for none"
	case s.Backends.HostMap != "", len(s.file.pools) > 0, len(s.Subscribe.Addresses) > 0, s.Backends.TrustRouterKey:
		return "only uwgate knows which server has which host"
	case has("modifier1"), has("modifier2"), has("set-var"):
		return "the workers need modifiers or vars that uwgate adds"
	case s.Backends.AskToClose:
		return "the workers need --ask-to-close, which nginx does not do"
	}
	return ""
}

// backupLine returns the line of a server for nginx, "" if nginx could not use it, and whether
// the server is a backup among the workers. nginx has one kind of backup servers only.
func backupLine(words []string, isNear bool) (line string, isLast bool) {
	network, address, err := backend.ParseAddr(words[0])
	if err != nil || strings.HasPrefix(address, "@") { // suwsgi:, srv: or an abstract socket
		return "", false
	}
	line = address
	if network == "unix" {
		line = "unix:" + address
	} else if host, port, _ := net.SplitHostPort(address); host == "" {
		line = net.JoinHostPort("127.0.0.1", port)
	} else if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
		return "", false // nginx does not start if it cannot resolve a name
	}
	if snippet.IsLocal(line) && !isNear {
		return "", false
	}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case name == "down", strings.HasPrefix(name, "modifier") && value != "0":
			return "", false
		case name == "backup":
			isLast = true
		case name == "weight":
			line += " " + word
		}
	}
	return line, isLast
}

// longestWait is longer than any request waits in the gateway for the next part of its
// response.
func (s *Settings) longestWait() time.Duration {
	const more = 5 * time.Second
	t := &s.Traffic
	wait := t.CoalesceWait + s.longest("queue-timeout") + s.longest("connect-timeout") + t.FirstByteTimeout
	if t.TotalTimeout > 0 {
		wait = min(wait, t.TotalTimeout)
	}
	return max(wait, t.IdleTimeout) + more
}

// longest returns the longest time that an option has in any pool.
func (s *Settings) longest(option string) (longest time.Duration) {
	texts := s.texts(option)
	for _, spec := range s.file.pools {
		for _, o := range spec.options {
			if o.key.name == option {
				texts = append(slices.Clone(texts), o.values...)
			}
		}
	}
	for _, text := range texts {
		if d, err := time.ParseDuration(text); err == nil {
			longest = max(longest, d)
		}
	}
	return longest
}

// BackendAddresses returns the addresses of all servers of --backend and of the file's pools,
// as backend.ParseAddr reads them.
func (s *Settings) BackendAddresses() (all []string) {
	lines := slices.Clone(s.Backends.Servers)
	for _, spec := range s.file.pools {
		lines = append(lines, spec.servers...)
	}
	for _, line := range lines {
		if words := strings.Fields(line); len(words) > 0 && !slices.Contains(all, words[0]) {
			all = append(all, words[0])
		}
	}
	return all
}
