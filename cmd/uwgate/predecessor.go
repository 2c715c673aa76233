package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"uwgate/cmd/uwgate/settings"
	"uwgate/cmd/uwgate/takeover"
	"uwgate/gateway/socket"
)

// A predecessor is who listens on our addresses when we start: systemd, the gateway that
// --replace names, or nobody. The zero value is nobody.
type predecessor struct {
	systemd *takeover.Inherited
	gateway *takeover.Inherited // over its admin socket

	replaces bool
	asked    error        // why its admin socket gave nothing
	pids     map[int]bool // of the gateways whose sockets were replaced by path
}

// find takes what systemd has passed, and asks the gateway that is to be replaced for its
// sockets.
func (p *predecessor) find(ctx context.Context, parts *settings.Parts) (err error) {
	if p.systemd, err = takeover.FromSystemd(); err != nil {
		return err
	}
	p.replaces = parts.Listen.Replace
	a := parts.Control.Admin
	switch {
	case !p.replaces:
		return nil
	case a.Network != "unix":
		p.asked = errors.New("there is no --admin unix:/path over which to take its listener")
		return nil
	}
	p.gateway, p.asked = takeover.Ask(ctx, a.Addr)
	return nil
}

// listener is the listener of addr that a predecessor has passed, nil if there is none.
func (p *predecessor) listener(addr settings.Address) (net.Listener, error) {
	for _, h := range []*takeover.Inherited{p.systemd, p.gateway} {
		if ln, err := h.Listener(addr.Network, addr.Addr); ln != nil || err != nil {
			return ln, err
		}
	}
	return nil, nil
}

func (p *predecessor) packetConn(addr settings.Address) (net.PacketConn, error) {
	for _, h := range []*takeover.Inherited{p.systemd, p.gateway} {
		if pc, err := h.PacketConn(packetNetwork(addr), addr.Addr); pc != nil || err != nil {
			return pc, err
		}
	}
	return nil, nil
}

// checkLeft refuses sockets of systemd that no setting names: nobody would ever answer there.
func (p *predecessor) checkLeft() error {
	if left := p.systemd.Left(); len(left) > 0 {
		return fmt.Errorf("systemd passes a socket that no setting names: %s; write --listen, --admin, --stats or --subscribe with that address, or remove it from the .socket unit", strings.Join(left, ", "))
	}
	return nil
}

// clear makes way for a socket at path. It reports whether a gateway listens there that the
// new socket replaces.
func (p *predecessor) clear(path string) (replace bool, err error) { return p.clearFor("unix", path) }

func (p *predecessor) clearFor(network, path string) (replace bool, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return false, nil
	}
	if info.Mode()&os.ModeSocket == 0 {
		return false, fmt.Errorf("listen on unix:%s: a file of that name is no socket; remove it or choose another path", path)
	}
	nc, err := net.Dial(network, path)
	switch {
	case err == nil && p.replaces:
		defer nc.Close()
		return true, p.remember(nc, path)
	case err == nil:
		nc.Close()
		return false, fmt.Errorf("listen on unix:%s: a running program listens there; stop it, choose another path, or take the place of a uwgate with --replace", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		os.Remove(path)
	}
	return false, nil
}

// remember notes the process that listens at path, if it is a uwgate.
func (p *predecessor) remember(nc net.Conn, path string) error {
	owner, err := socket.OwnerOf(nc)
	if err != nil {
		return fmt.Errorf("replace the program that listens on unix:%s: %w", path, err)
	}
	if !isUwgate(int(owner.PID)) {
		return fmt.Errorf("replace the program that listens on unix:%s: process %d is no `uwgate serve`; stop it or choose another path", path, owner.PID)
	}
	if p.pids == nil {
		p.pids = make(map[int]bool)
	}
	p.pids[int(owner.PID)] = true
	return nil
}

// isUwgate reports whether a process runs a program of our name with serve.
func isUwgate(pid int) bool {
	ours, err := os.Executable()
	if err != nil || pid <= 1 || pid == os.Getpid() {
		return false
	}
	dir := "/proc/" + strconv.Itoa(pid)
	exe, err := os.Readlink(dir + "/exe") // "… (deleted)" after an upgrade
	if err != nil {
		return false
	}
	args, err := os.ReadFile(dir + "/cmdline")
	name, _, _ := strings.Cut(filepath.Base(exe), " ")
	return err == nil && name == filepath.Base(ours) && strings.Contains(string(args), "\x00serve\x00")
}

// serving makes the predecessor drain: this gateway serves.
func (p *predecessor) serving() error {
	errs := []error{p.gateway.Serving()}
	if p.gateway != nil {
		delete(p.pids, p.gateway.PID)
	}
	for pid := range p.pids {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
			errs = append(errs, fmt.Errorf("end process %d, which this one replaces: %w", pid, err))
		}
	}
	p.close()
	return errors.Join(errs...)
}

func (p *predecessor) close() {
	p.systemd.Close()
	p.gateway.Close()
}

// advice says what to do about an address that cannot be listened on.
func (p *predecessor) advice(err error) string {
	if p.replaces && errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Sprintf("; --replace takes over a TCP port only over --admin unix:/path, which both gateways name: %v", p.asked)
	}
	return listenAdvice(err)
}
