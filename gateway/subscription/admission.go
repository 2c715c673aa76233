package subscription

import (
	"crypto"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// Admission says which servers may announce themselves. The zero value admits any key
// and any server on this machine.
type Admission struct {
	// Networks are the networks that UDP datagrams may come from, and that the
	// announced addresses may be in. Nil means loopback only. A loopback address is
	// only admitted from this machine. Whoever can write to a UNIX socket may
	// announce servers anywhere.
	Networks []netip.Prefix

	// Keys are globs of the keys that are admitted, as in *.example.com, with the
	// syntax of path.Match. Case matters. Nil means all keys.
	Keys []string

	// AllowUnix admits servers on UNIX sockets over UDP too. Over UNIX sockets they
	// are always admitted.
	AllowUnix bool

	// AllowModifiers are the pairs of modifier1 and modifier2 that servers may ask
	// for besides 0 and 0, which means that of the pool.
	AllowModifiers [][2]uint8

	// PublicKeys is a directory with a file KEY.pem for each key. In the file name,
	// all characters of the key except letters, digits, dot, dash and underscore are
	// underscores. "" admits unsigned datagrams. Otherwise only signed datagrams are
	// admitted: RSA PKCS#1 v1.5 over all vars, with a time at most 60 s from ours.
	//
	// uWSGI's signature does not cover the byte that distinguishes an announcement
	// from a leave, so one can be turned into the other. Therefore the signed times
	// of a server must grow, whatever its datagrams say: a datagram that was
	// overheard is worthless. Whoever can delay a datagram can still turn it around.
	// An announcement that became a leave costs a server its requests until the next
	// announcement, as if it had been lost. A leave that became an announcement keeps
	// a server for one Tolerance, and the pool notices itself that it is gone.
	//
	// The signature does not cover the source of the datagram either, so a signed
	// address must be complete.
	PublicKeys string

	// Digest is the digest of the signatures: crypto.SHA1, SHA256 or SHA512. Zero
	// means SHA256.
	Digest crypto.Hash
}

// admit makes every check that needs no signature, and completes the server's address.
// The error is a *refusal.
func (ad *Admission) admit(sub *uwsgi.Subscription, from source) (announced, error) {
	a := announced{
		Key: sub.Key, Modifier1: sub.Modifier1, Modifier2: sub.Modifier2,
		Cores: sub.Cores, Load: sub.Load, Weight: sub.Weight, Backup: sub.Backup, Local: from.local, Signed: ad.PublicKeys != "",
	}
	if err := ad.admitOptions(a); err != nil {
		return a, err
	}
	var err error
	a.Addr, err = ad.complete(sub.Address, from)
	return a, err
}

func (ad *Admission) admitOptions(a announced) error {
	if !ad.isKeyAllowed(a.Key) {
		return refuse(RefusedKey, "the key %q is not allowed", a.Key)
	}
	asked := [2]uint8{a.Modifier1, a.Modifier2}
	if asked != [2]uint8{} && !slices.Contains(ad.AllowModifiers, asked) {
		return refuse(RefusedModifier, "modifier1 %d with modifier2 %d is not allowed", a.Modifier1, a.Modifier2)
	}
	return nil
}

// admitRestored is admit for a server of the snapshot: the options may have changed
// since it was admitted.
func (ad *Admission) admitRestored(a announced) error {
	if ad.PublicKeys != "" && !a.Signed {
		return refuse(RefusedSignature, "it was not signed")
	}
	if err := ad.admitOptions(a); err != nil {
		return err
	}
	sub := uwsgi.Subscription{Key: a.Key, Address: a.Addr, Cores: a.Cores, Load: a.Load, Weight: a.Weight}
	if _, err := sub.Append(nil); err != nil {
		return &refusal{RefusedFormat, err}
	}
	from := source{local: a.Local}
	if ap, err := parseAddrPort(a.Addr); err == nil {
		from.ip = ap.Addr()
	}
	_, err := ad.complete(a.Addr, from)
	return err
}

func (ad *Admission) isKeyAllowed(key string) bool {
	return ad.Keys == nil || slices.ContainsFunc(ad.Keys, func(glob string) bool {
		ok, _ := path.Match(glob, key)
		return ok
	})
}

// isAllowed reports whether an address is in the networks. It must not be an IPv4
// address mapped to IPv6.
func (ad *Admission) isAllowed(ip netip.Addr) bool {
	if ad.Networks == nil {
		return ip.IsLoopback()
	}
	// A prefix contains no address with a zone.
	return slices.ContainsFunc(ad.Networks, func(n netip.Prefix) bool { return n.Contains(ip.WithZone("")) })
}

// complete turns an address as uWSGI was configured with it into one that can be
// dialled. It refuses names: a datagram must not cause a DNS look-up.
func (ad *Admission) complete(address string, from source) (string, error) {
	if network, path, err := backend.ParseAddr(address); err == nil && network == "unix" {
		if !from.local && !ad.AllowUnix {
			return "", refuse(RefusedAddress, "the address %q is a UNIX socket, and the datagram came over UDP", address)
		}
		return path, nil
	}
	ap, err := parseAddrPort(address)
	if err != nil {
		return "", refuse(RefusedAddress, "the address %q is none of IP:port, :port, /path and @name", address)
	}
	if ap.Addr().IsUnspecified() {
		return ad.completeHost(address, ap.Port(), from)
	}
	if err := ad.admitAddr(ap, from); err != nil {
		return "", err
	}
	return ap.String(), nil
}

// completeHost gives an address without a host the source of the datagram, which no
// signature covers. A datagram over a UNIX socket comes from this machine.
func (ad *Admission) completeHost(address string, port uint16, from source) (string, error) {
	if ad.PublicKeys != "" {
		return "", refuse(RefusedAddress, "the address %q has no host that a signature could cover; give uWSGI addr=IP:port", address)
	}
	ip := from.ip
	if from.local {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.AddrPortFrom(ip, port).String(), nil
}

// admitAddr prevents that a datagram directs requests to an address where its sender
// cannot run a server.
func (ad *Admission) admitAddr(ap netip.AddrPort, from source) error {
	ip := ap.Addr()
	switch {
	case ip.IsMulticast():
		return refuse(RefusedAddress, "%s is a multicast address", ap)
	case from.local:
		return nil
	case ip.IsLoopback() && !from.ip.IsLoopback():
		return refuse(RefusedAddress, "%s is this machine, and the datagram came from another", ap)
	case !ad.isAllowed(ip):
		return refuse(RefusedAddress, "%s is in none of the allowed networks", ap)
	}
	return nil
}

func parseAddrPort(s string) (netip.AddrPort, error) {
	if strings.HasPrefix(s, ":") {
		s = "0.0.0.0" + s
	}
	ap, err := netip.ParseAddrPort(s)
	if err == nil && ap.Port() == 0 {
		err = fmt.Errorf("subscription: address %q has no port", s)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), err
}
