//go:build !linux

package socket

import (
	"errors"
	"net"
)

// AwaitTaken returns errors.ErrUnsupported.
func AwaitTaken(net.Conn) error { return errors.ErrUnsupported }
