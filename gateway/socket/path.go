package socket

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// A PathListener listens on a UNIX socket with a path. It removes the file when it is
// closed, but only if that is still the socket that it has made: another process may have
// put its own there.
type PathListener struct {
	*net.UnixListener
	path string
	made fs.FileInfo // nil: the file is somebody else's
}

// ListenPath makes a UNIX socket with that mode. Nobody may listen at path, and nothing be
// there, unless replace is set: then the new socket takes the place of what is there in one
// step, so that each client finds one of the two.
func ListenPath(ctx context.Context, path string, mode fs.FileMode, replace bool) (*PathListener, error) {
	at := path
	if replace {
		at = beside(path)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", at)
	if err != nil {
		return nil, err
	}
	l := AdoptPath(ln.(*net.UnixListener), path)
	if err = os.Chmod(at, mode); err == nil {
		l.made, err = os.Lstat(at)
	}
	if err == nil && replace {
		err = os.Rename(at, path)
	}
	if err != nil {
		ln.Close()
		os.Remove(at)
		return nil, err
	}
	return l, nil
}

// beside is a short name in the folder of path: those of sockets have at most 107 bytes.
func beside(path string) string {
	return filepath.Join(filepath.Dir(path), ".u"+strconv.Itoa(os.Getpid()))
}

// AdoptPath returns a listener for a socket that another process has made. It leaves the
// file at path alone until Own is called.
func AdoptPath(ln *net.UnixListener, path string) *PathListener {
	ln.SetUnlinkOnClose(false)
	return &PathListener{UnixListener: ln, path: path}
}

// Own makes the file that is at the path now the listener's own, which it removes.
func (l *PathListener) Own() error {
	info, err := os.Lstat(l.path)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("socket: %s is no socket", l.path)
	}
	l.made = info
	return nil
}

// GiveUp leaves the file to another process.
func (l *PathListener) GiveUp() { l.made = nil }

// Owns reports whether the listener removes the file when it is closed.
func (l *PathListener) Owns() bool { return l.made != nil }

// Addr implements net.Listener. It is the path, whatever name the socket was made by.
func (l *PathListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: l.path} }

// Unlink removes the file if the listener owns it.
func (l *PathListener) Unlink() {
	if info, err := os.Lstat(l.path); err == nil && l.made != nil && os.SameFile(info, l.made) {
		os.Remove(l.path)
	}
}

// Close implements net.Listener.
func (l *PathListener) Close() error {
	l.Unlink()
	return l.UnixListener.Close()
}
