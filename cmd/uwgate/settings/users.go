package settings

import (
	"errors"
	"fmt"
	"os/user"
	"runtime"
	"slices"
	"strconv"
)

// users returns the numbers of the users of --allow-user, nil for all.
func (s *Settings) users() ([]uint32, error) {
	switch {
	case len(s.Listen.Users) == 0:
		return nil, nil
	case runtime.GOOS != "linux":
		return nil, s.conflict("allow-user", nil, "only Linux says who connects to a UNIX socket; use --socket-mode, and a directory that others cannot enter")
	case !slices.ContainsFunc(s.Listen.Addresses, func(a Address) bool { return a.Network == "unix" }):
		return nil, s.conflict("allow-user", []string{"listen"}, "this is for UNIX sockets, and %s names none; over TCP there are --allow-peer, and --tls-client-ca", s.mention("listen"))
	}
	var uids []uint32
	for _, name := range s.Listen.Users {
		uid, err := lookUpUser(name)
		if err != nil {
			return nil, s.refuse("allow-user", name, err)
		}
		uids = append(uids, uid)
	}
	return uids, nil
}

// refuses reports whether --allow-user keeps a user out. It refuses none that is unknown here.
func (s *Settings) refuses(name string) bool {
	uid, err := lookUpUser(name)
	return err == nil && len(s.Listen.Users) > 0 && !slices.ContainsFunc(s.Listen.Users, func(allowed string) bool {
		other, err := lookUpUser(allowed)
		return err != nil || other == uid
	})
}

// lookUpUser returns the number of a user.
func lookUpUser(s string) (uint32, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(s)
	if err != nil {
		return 0, errors.New("there is no such user; nginx's workers run as the user that nginx.conf names, most often www-data or nginx")
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("the user's number %q is none", u.Uid)
	}
	return uint32(n), nil
}
