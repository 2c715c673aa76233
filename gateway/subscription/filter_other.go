//go:build !linux

package subscription

import (
	"errors"
	"net"
	"net/netip"
)

// filter is for Linux alone.
func filter(*net.UDPConn, []netip.Addr) error { return errors.ErrUnsupported }
