package hits

import (
	"encoding/binary"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// countLoss makes the kernel say with each datagram how many it has dropped before.
func countLoss(nc *net.UDPConn) bool {
	return control(nc, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) }) == nil
}

// droppedOf reads that number.
func droppedOf(oob []byte) (n uint32, ok bool) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data), true
		}
	}
	return 0, false
}

// queueLength is how many datagrams a new UNIX socket holds; 0: not known.
func queueLength() int {
	text, err := os.ReadFile("/proc/sys/net/unix/max_dgram_qlen")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// force enlarges the buffer beyond net.core.rmem_max, which only the administrator may.
func force(pc net.PacketConn) {
	control(pc, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, wantedBuffer) })
}

func control(pc any, f func(fd int) error) error {
	c, ok := pc.(syscall.Conn)
	if !ok {
		return syscall.EINVAL
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return err
	}
	return failed
}
