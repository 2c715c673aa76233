package hits

import (
	"net"
	"net/netip"
)

// A source is a socket with the datagrams that come.
type source struct {
	pc     net.PacketConn
	udp    *net.UDPConn // nil: another socket
	counts bool         // the kernel tells how many it has dropped
	lost   uint64       // of these, so far
	seen   uint32       // what the kernel said last: it counts modulo 2³²
	oob    [64]byte
}

// read reads a datagram. The address is the zero one if the sender has none.
func (s *source) read(b []byte) (n int, from netip.Addr, err error) {
	if s.udp == nil {
		n, _, err = s.pc.ReadFrom(b)
		return n, netip.Addr{}, err
	}
	n, oobn, _, addr, err := s.udp.ReadMsgUDPAddrPort(b, s.oob[:])
	if err == nil && s.counts {
		if dropped, ok := droppedOf(s.oob[:oobn]); ok {
			s.lost += uint64(dropped - s.seen)
			s.seen = dropped
		}
	}
	return n, addr.Addr().Unmap(), err
}

// enlarge makes room in the kernel for as many datagrams as it permits.
func enlarge(pc net.PacketConn) {
	if b, ok := pc.(interface{ SetReadBuffer(bytes int) error }); ok {
		b.SetReadBuffer(wantedBuffer)
	}
	force(pc)
}
