package subscription

import (
	"net"
	"net/netip"
	"time"

	"uwgate/uwsgi"
)

// A source is where a datagram came from.
type source struct {
	ip    netip.Addr    // not valid if it is local
	local bool          // it came over a UNIX socket
	unix  *net.UnixConn // that socket, which acknowledgements are sent from; nil: send none
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

// receive handles one datagram. It returns why the datagram is refused, or "".
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

// take is receive without the record of a refusal. The error is a *refusal. The checks
// that cost least come first.
func (s *Registry) take(datagram []byte, from source, now time.Time) error {
	if !from.local && !s.isAllowed(from.ip) {
		return refuse(RefusedSource, "its source is in none of the allowed networks")
	}
	if !s.rates.take(from, s.rate(), now) {
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
