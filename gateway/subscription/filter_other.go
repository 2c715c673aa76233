//go:build !linux

package subscription

import (
	"errors"
	"net"
	"net/netip"
)

// filter exists on Linux only.
func filter(*net.UDPConn, []netip.Addr) error { return errors.ErrUnsupported }
