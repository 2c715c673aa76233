package subscription

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The filter drops the datagrams of its senders, over both versions of IP.
func TestFilter(t *testing.T) {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{})
	if err != nil {
		t.Skip(err)
	}
	defer pc.Close()
	pc.SetReadDeadline(time.Now().Add(time.Minute))
	port := pc.LocalAddr().(*net.UDPAddr).Port
	all := []string{"127.0.0.2", "127.0.0.3", "::1"}
	for _, tt := range []struct {
		name   string
		shut   []string
		passes []string
	}{
		{"one of IPv4", []string{"127.0.0.2"}, []string{"127.0.0.3", "::1"}},
		{"the other", []string{"10.0.0.1", "127.0.0.3"}, []string{"127.0.0.2", "::1"}},
		{"one of IPv6", []string{"::1"}, []string{"127.0.0.2", "127.0.0.3"}},
		{"another of IPv6", []string{"2001:db8::1", "::1:0:0:0:0"}, all},
		{"all", all, nil},
		{"none", nil, all},
	} {
		var shut []netip.Addr
		for _, s := range tt.shut {
			shut = append(shut, sender(netip.MustParseAddr(s)))
		}
		if err := filter(pc, shut); err != nil {
			t.Skip(err)
		}
		for _, ip := range append(all, "127.0.0.9") { // the last one marks the end
			send(t, ip, port, 1, nil)
		}
		var got []string
		for from := ""; from != "127.0.0.9"; {
			_, addr, err := pc.ReadFromUDPAddrPort(make([]byte, 9))
			if err != nil {
				t.Fatal(err)
			}
			if from = addr.Addr().Unmap().String(); from != "127.0.0.9" {
				got = append(got, from)
			}
		}
		if !slices.Equal(got, tt.passes) {
			t.Errorf("%s: heard %q, want %q", tt.name, got, tt.passes)
		}
	}
}

// Loopback cannot show networks of IPv6 that are not zero.
func TestFilterProgram(t *testing.T) {
	senders := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:1:2::"), netip.MustParseAddr("2001:db8:1:3::"), netip.MustParseAddr("192.0.2.3")}
	program := filterProgram(senders)
	for ip, want := range map[string]bool{
		"192.0.2.1": false, "192.0.2.2": true, "192.0.2.3": false, "1.192.0.2": true,
		"2001:db8:1:2::1": false, "2001:db8:1:2:ffff:1:2:3": false, "2001:db8:1:3::1": false, "2001:db8:1:4::1": true, "2001:db9:1:2::1": true, "::1": true,
	} {
		if got := passes(t, program, netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: heard %v, want %v", ip, got, want)
		}
	}
	if n := len(filterProgram(slices.Repeat(senders[1:2], maxShut))); n > 4096 {
		t.Errorf("%d instructions, more than the kernel takes", n)
	}
}

// passes runs a program as the kernel does, on the header of a datagram from ip.
func passes(t *testing.T, program []unix.SockFilter, ip netip.Addr) bool {
	header := make([]byte, 40)
	if ip.Is4() {
		header[0] = 4<<4 | 5
		copy(header[12:], ip.AsSlice())
	} else {
		header[0] = 6 << 4
		copy(header[8:], ip.AsSlice())
	}
	var a uint32
	for i := 0; i < len(program); i++ {
		in := program[i]
		switch in.Code {
		case unix.BPF_LD | unix.BPF_ABS | unix.BPF_B:
			a = uint32(header[in.K-0xfff00000])
		case unix.BPF_LD | unix.BPF_ABS | unix.BPF_W:
			a = binary.BigEndian.Uint32(header[in.K-0xfff00000:])
		case unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K:
			a >>= in.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if a != in.K {
				i += int(in.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return in.K > 0
		default:
			t.Fatalf("instruction %+v", in)
		}
	}
	t.Fatal("the program does not end")
	return false
}

// send sends b several times, from an address of this machine.
func send(t *testing.T, ip string, port, times int, b []byte) {
	t.Helper()
	host := net.IPv4(127, 0, 0, 1)
	if ip == "::1" {
		host = net.IPv6loopback
	}
	nc, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)}, &net.UDPAddr{IP: host, Port: port})
	if err != nil {
		t.Skip(err)
	}
	defer nc.Close()
	for range times {
		if _, err := nc.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

// A sender that floods is soon shut out, and all others are read.
func TestFloodOfOne(t *testing.T) {
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := filter(pc, []netip.Addr{netip.MustParseAddr("10.0.0.1")}); err != nil {
		t.Skip(err)
	}
	s := &Registry{Limits: Limits{Rate: 1}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, pc) }()
	port := pc.LocalAddr().(*net.UDPAddr).Port
	const flood = 50_000
	send(t, "127.0.0.2", port, flood, []byte("junk"))
	for i := range 5 {
		send(t, fmt.Sprintf("127.0.0.%d", 10+i), port, 1, hello(t, "a.example", fmt.Sprintf("127.0.0.1:%d", 3031+i)))
	}
	for end := time.Now().Add(time.Minute); len(s.addrs("a.example")) < 5 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if got := s.addrs("a.example"); len(got) != 5 {
		t.Errorf("servers %q, want all 5", got)
	}
	if refused := s.Stats().Refused; refused[RefusedFormat]+refused[RefusedRate] > flood/10 {
		t.Errorf("refused %v of %d, want far fewer to be read", refused, flood)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
