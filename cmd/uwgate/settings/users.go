package settings

import (
	"errors"
	"fmt"
	"os/user"
	"runtime"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"
)

// parseUsers reads --allow-user.
func parseUsers(c *cli.Context, cfg *Config) error {
	users := c.StringSlice("allow-user")
	isUnix := func(addr string) bool { network, _, _, _ := ParseListen(addr); return network == "unix" }
	switch {
	case len(users) == 0:
		return nil
	case runtime.GOOS != "linux":
		return errors.New("--allow-user: only Linux tells who connects to a UNIX socket; use --socket-mode, and a folder that others cannot enter")
	case !slices.ContainsFunc(cfg.Listen, isUnix):
		return errors.New("--allow-user is for UNIX sockets, and --listen names none; over TCP there are --allow-peer, and --tls-client-ca")
	}
	for _, s := range users {
		uid, err := lookUpUser(s)
		if err != nil {
			return fmt.Errorf("--allow-user %q: %w", s, err)
		}
		cfg.Users = append(cfg.Users, uid)
	}
	return nil
}

// lookUpUser returns the number of a user.
func lookUpUser(s string) (uint32, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(s)
	if err != nil {
		return 0, errors.New("there is no such user; nginx's workers run as the one of its user directive, www-data or nginx as a rule")
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}
