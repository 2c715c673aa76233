//go:build !linux

package socket

import (
	"io"
	"net"
)

// AwaitHangup takes the end of the stream for the end of the connection: only Linux is
// known to distinguish them on a UNIX socket.
func AwaitHangup(net.Conn) error { return io.EOF }
