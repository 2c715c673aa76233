package subscription

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// filter makes the kernel drop the datagrams of these senders before they take room in
// the socket. A sender is what the function sender returns; there are at most maxShut.
// Without senders the filter is removed. Datagrams that are already in the socket stay.
func filter(pc *net.UDPConn, senders []netip.Addr) error {
	raw, err := pc.SyscallConn()
	if err != nil {
		return err
	}
	program := filterProgram(senders)
	cerr := raw.Control(func(fd uintptr) {
		if len(senders) == 0 {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
			return
		}
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// filterProgram compares the source in the IP header with the senders: the address of
// IPv4, or the /64 network of IPv6.
func filterProgram(senders []netip.Addr) []unix.SockFilter {
	const (
		header   = 0xfff00000 // SKF_NET_OFF
		version  = 0          // offsets in it
		source4  = 12
		source6  = 8
		takesAll = 1<<32 - 1
	)
	load := func(size uint16, at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_ABS | size, K: header + at}
	}
	unless := func(k uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: skip}
	}
	end := func(bytes uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: bytes} }
	v4 := []unix.SockFilter{load(unix.BPF_W, source4)}
	var v6 []unix.SockFilter
	for _, a := range senders {
		b := a.AsSlice()
		if a.Is4() {
			v4 = append(v4, unless(binary.BigEndian.Uint32(b), 1), end(0))
			continue
		}
		v6 = append(v6,
			load(unix.BPF_W, source6), unless(binary.BigEndian.Uint32(b), 3),
			load(unix.BPF_W, source6+4), unless(binary.BigEndian.Uint32(b[4:]), 1), end(0))
	}
	v4 = append(v4, end(takesAll))
	program := []unix.SockFilter{
		load(unix.BPF_B, version),
		{Code: unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K, K: 4},
		unless(4, uint8(len(v4))),
	}
	return append(append(append(program, v4...), v6...), end(takesAll))
}
