package socket

import (
	"crypto/tls"
	"net"
	"time"
)

// CloseWrite ends the stream to the peer, if nc can do that.
func CloseWrite(nc net.Conn) {
	if half, ok := unwrap(nc).(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// IsDrained reports whether all that the peer has sent has been read: else closing nc would
// reset the connection. It is false if nc does not say.
func IsDrained(nc net.Conn) bool {
	c, ok := nc.(interface{ Unread() (int, error) })
	if !ok {
		return false
	}
	n, err := c.Unread()
	return err == nil && n == 0
}

// Cut closes a connection. With spoil, over TCP, the end of the stream does not look like
// the end of a response without length: it is a reset, or over TLS a broken record.
func Cut(nc net.Conn, spoil bool) {
	tc, secure := nc.(*tls.Conn)
	if secure {
		nc = tc.NetConn() // which says nothing of a close_notify
	}
	tcp, ok := nc.(interface{ SetLinger(sec int) error })
	switch {
	case ok && spoil && secure:
		nc.SetWriteDeadline(time.Now().Add(spoilTimeout))
		nc.Write(badRecord)
	case ok && spoil:
		tcp.SetLinger(0)
	}
	nc.Close()
}

// badRecord is an alert in the clear, an error to whoever has encryption going. nginx
// takes every other end of a connection over TLS for a clean one, a reset as well
// (ngx_ssl_handle_recv: the error queue of OpenSSL is empty then).
var badRecord = []byte{21, 3, 3, 0, 2, 2, 80}

// spoilTimeout bounds the writing of badRecord.
const spoilTimeout = time.Second
