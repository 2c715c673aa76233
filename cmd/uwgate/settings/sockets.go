package settings

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"uwgate/nginxconf/parity"
)

// mayOpen returns why processes of a user and a group cannot connect to the UNIX socket with
// a path: they need to enter all folders on the way, and to write to the socket itself.
func mayOpen(userName, groupName, path string) *parity.Denial {
	who, ok := processOf(userName, groupName)
	if !ok || who.uid == 0 || !filepath.IsAbs(path) {
		return nil
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return nil
	}
	socket, err := os.Stat(filepath.Join(folder, filepath.Base(path)))
	if err != nil || socket.Mode()&os.ModeSocket == 0 {
		return nil
	}
	for _, at := range parents(folder) {
		info, err := os.Stat(at)
		if err != nil {
			return nil
		}
		if !who.may(info, at, mayExecute) {
			return denial(at, info)
		}
	}
	if at := filepath.Join(folder, filepath.Base(path)); !who.may(socket, at, mayWrite) {
		return denial(path, socket)
	}
	return nil
}

// parents returns a folder and those that it is in, the outermost first.
func parents(folder string) []string {
	all := []string{folder}
	for folder != filepath.Dir(folder) {
		folder = filepath.Dir(folder)
		all = append(all, folder)
	}
	slices.Reverse(all)
	return all
}

// Permission bits, of the others.
const (
	mayExecute os.FileMode = 1
	mayWrite   os.FileMode = 2
)

// A process is whom the kernel sees.
type process struct {
	uid  uint32
	gids []uint32
}

// processOf returns what nginx makes of its user directive: the user, the group, and the
// other groups of the user (initgroups).
func processOf(userName, groupName string) (process, bool) {
	u, err := user.Lookup(userName)
	if err != nil {
		return process{}, false
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return process{}, false
	}
	p := process{uid: uint32(uid)}
	gids, err := u.GroupIds()
	if err != nil {
		return process{}, false
	}
	if groupName == "" {
		groupName = userName
	}
	if g, err := user.LookupGroup(groupName); err == nil {
		gids = append(gids, g.Gid)
	}
	for _, text := range gids {
		if gid, err := strconv.ParseUint(text, 10, 32); err == nil {
			p.gids = append(p.gids, uint32(gid))
		}
	}
	return p, true
}

// may reports whether the process has a permission. Where an ACL may grant it, it does.
func (p process) may(info os.FileInfo, path string, bit os.FileMode) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || hasACL(path) {
		return true
	}
	switch {
	case stat.Uid == p.uid:
		bit <<= 6
	case slices.Contains(p.gids, stat.Gid):
		bit <<= 3
	}
	return info.Mode()&bit != 0
}

func denial(path string, info os.FileInfo) *parity.Denial {
	d := &parity.Denial{Path: path, Mode: lsMode(info.Mode()), Owner: "an unknown owner", IsFolder: info.IsDir()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		d.Owner = nameOf(stat.Uid) + " " + groupOf(stat.Gid)
	}
	return d
}

// lsMode returns a mode as ls prints it.
func lsMode(mode os.FileMode) string {
	kind := "-"
	switch {
	case mode.IsDir():
		kind = "d"
	case mode&os.ModeSocket != 0:
		kind = "s"
	}
	return kind + mode.Perm().String()[1:]
}

func nameOf(uid uint32) string {
	text := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(text); err == nil {
		return u.Username
	}
	return text
}

func groupOf(gid uint32) string {
	text := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(text); err == nil {
		return g.Name
	}
	return text
}
