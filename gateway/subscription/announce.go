package subscription

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// A source is where a datagram came from.
type source struct {
	ip    netip.Addr    // not valid if it is local
	local bool          // it came over a UNIX socket
	unix  *net.UnixConn // that socket, if acknowledgements can go out over it
}

func sourceOf(addr net.Addr, unix *net.UnixConn) source {
	from := source{local: unix != nil, unix: unix}
	if udp, ok := addr.(*net.UDPAddr); ok {
		from.ip = udp.AddrPort().Addr().Unmap()
	}
	return from
}

func (from source) String() string {
	if from.local {
		return "unix"
	}
	return from.ip.String()
}

// receive takes one datagram to its end, and says why if it is refused.
func (s *Registry) receive(datagram []byte, from source) Refusal {
	now := time.Now()
	err := s.take(datagram, from, now)
	if err == nil {
		return ""
	}
	r := err.(*refusal)
	s.refused(r, from, now)
	return r.reason
}

// take checks what costs least first.
func (s *Registry) take(datagram []byte, from source, now time.Time) error {
	if !from.local && !s.isAllowed(from.ip) {
		return refuse(RefusedSource, "its source is in none of the networks that are allowed")
	}
	if !s.rates.allow(from, s.rate(), now) {
		return refuse(RefusedRate, "its source sends more than %d datagrams a second", s.rate())
	}
	sub, err := uwsgi.ParseSubscription(datagram)
	if err != nil {
		return &refusal{RefusedFormat, err}
	}
	a, err := s.admit(sub, from)
	if err != nil {
		return err
	}
	if err := s.verify(sub, now); err != nil {
		return err
	}
	if sub.Leave {
		return s.takeLeave(sub, a, now)
	}
	isNew, err := s.takeAnnounce(sub, a, now)
	if isNew && sub.Notify != "" {
		from.acknowledge(sub.Notify, a)
	}
	return err
}

func (s *Registry) takeAnnounce(sub *uwsgi.Subscription, a announced, now time.Time) (isNew bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.remember(sub, a, now); err != nil {
		return false, err
	}
	isNew, err = s.announce(a, now)
	if err == nil {
		s.counts.Announced++
	}
	return isNew, err
}

func (s *Registry) takeLeave(sub *uwsgi.Subscription, a announced, now time.Time) error {
	s.mu.Lock()
	if err := s.remember(sub, a, now); err != nil {
		s.mu.Unlock()
		return err
	}
	empty := s.withdraw(a, now)
	s.counts.Left++
	s.mu.Unlock()
	if empty != nil {
		empty.Close()
	}
	return nil
}

// admit is what needs no signature: whether such a server may announce itself
// for such a key.
func (s *Registry) admit(sub *uwsgi.Subscription, from source) (announced, error) {
	a := announced{
		Key: sub.Key, Modifier1: sub.Modifier1, Modifier2: sub.Modifier2,
		Cores: sub.Cores, Load: sub.Load, Weight: sub.Weight, Backup: sub.Backup, Local: from.local, Signed: s.PublicKeys != "",
	}
	if err := s.admitOptions(a); err != nil {
		return a, err
	}
	var err error
	a.Addr, err = s.complete(sub.Address, from)
	return a, err
}

func (s *Registry) admitOptions(a announced) error {
	if !s.isKeyAllowed(a.Key) {
		return refuse(RefusedKey, "the key %q is not allowed", a.Key)
	}
	asked := [2]uint8{a.Modifier1, a.Modifier2}
	if asked != [2]uint8{} && !slices.Contains(s.AllowModifiers, asked) {
		return refuse(RefusedModifier, "modifier1 %d with modifier2 %d is not allowed", a.Modifier1, a.Modifier2)
	}
	return nil
}

// admitRestored is admit for what was admitted before: the options may be others
// since.
func (s *Registry) admitRestored(a announced) error {
	if s.PublicKeys != "" && !a.Signed {
		return refuse(RefusedSignature, "it was not signed")
	}
	if err := s.admitOptions(a); err != nil {
		return err
	}
	sub := uwsgi.Subscription{Key: a.Key, Address: a.Addr, Cores: a.Cores, Load: a.Load, Weight: a.Weight}
	if _, err := sub.Append(nil); err != nil {
		return &refusal{RefusedFormat, err}
	}
	from := source{local: a.Local}
	if ap, err := parseAddrPort(a.Addr); err == nil {
		from.ip = ap.Addr()
	}
	_, err := s.complete(a.Addr, from)
	return err
}

func (s *Registry) isKeyAllowed(key string) bool {
	return s.Keys == nil || slices.ContainsFunc(s.Keys, func(glob string) bool {
		ok, _ := path.Match(glob, key)
		return ok
	})
}

// isAllowed is about an address that is not mapped.
func (s *Registry) isAllowed(ip netip.Addr) bool {
	if s.Networks == nil {
		return ip.IsLoopback()
	}
	// A prefix contains no address with a zone.
	return slices.ContainsFunc(s.Networks, func(n netip.Prefix) bool { return n.Contains(ip.WithZone("")) })
}

// complete makes of an address as uWSGI was configured with it one that can be
// dialled. Names are not taken: whoever sends a datagram shall not have us look
// one up.
func (s *Registry) complete(address string, from source) (string, error) {
	if network, path, err := backend.ParseAddr(address); err == nil && network == "unix" {
		if !from.local && !s.AllowUnix {
			return "", refuse(RefusedAddress, "the address %q is a UNIX socket, and the datagram came over UDP", address)
		}
		return path, nil
	}
	ap, err := parseAddrPort(address)
	if err != nil {
		return "", refuse(RefusedAddress, "the address %q is no IP:port, :port, /path or @name", address)
	}
	if ap.Addr().IsUnspecified() {
		return s.completeHost(address, ap.Port(), from)
	}
	if err := s.admitAddr(ap, from); err != nil {
		return "", err
	}
	return ap.String(), nil
}

// completeHost gives an address without a host that of the datagram, which no
// signature covers. What comes over a UNIX socket is on this machine.
func (s *Registry) completeHost(address string, port uint16, from source) (string, error) {
	if s.PublicKeys != "" {
		return "", refuse(RefusedAddress, "the address %q has no host that could be signed; give uWSGI addr=IP:port", address)
	}
	ip := from.ip
	if from.local {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrPortFrom(ip, port).String(), nil
}

// admitAddr keeps a datagram from turning requests to where its sender could
// not have a server.
func (s *Registry) admitAddr(ap netip.AddrPort, from source) error {
	ip := ap.Addr()
	switch {
	case ip.IsMulticast():
		return refuse(RefusedAddress, "%s is no address of a server", ap)
	case from.local:
		return nil
	case ip.IsLoopback() && !from.ip.IsLoopback():
		return refuse(RefusedAddress, "%s is this machine, and the datagram came from another", ap)
	case !s.isAllowed(ip):
		return refuse(RefusedAddress, "%s is in none of the networks that are allowed", ap)
	}
	return nil
}

func parseAddrPort(s string) (netip.AddrPort, error) {
	if strings.HasPrefix(s, ":") {
		s = "0.0.0.0" + s
	}
	ap, err := netip.ParseAddrPort(s)
	if err == nil && ap.Port() == 0 {
		err = fmt.Errorf("subscription: address %q has no port", s)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), err
}
