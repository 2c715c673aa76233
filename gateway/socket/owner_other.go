//go:build !linux

package socket

import (
	"errors"
	"net"
)

// OwnerOf fails, so that nobody is let in who may not be.
func OwnerOf(net.Conn) (Owner, error) {
	return Owner{}, errors.ErrUnsupported
}
