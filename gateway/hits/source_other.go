//go:build !linux

package hits

import "net"

func countLoss(*net.UDPConn) bool          { return false }
func droppedOf([]byte) (n uint32, ok bool) { return 0, false }
func queueLength() int                     { return 0 }
func force(net.PacketConn)                 {}
