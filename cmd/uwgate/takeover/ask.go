package takeover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Path is the path of the admin side at which sockets are passed.
const Path = "/-/takeover"

const (
	protocol = "uwgate-takeover/1"
	serving  = "serving\n"

	talk    = 10 * time.Second // for each message
	maxRead = 64 << 10         // the longest list of sockets, in bytes
)

// A list is what comes with the sockets, which are in the same order.
type list struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	Sockets []name `json:"sockets"`
}

// ErrNobody is matched if nobody listens on the admin socket.
var ErrNobody = errors.New("nobody listens there")

// Ask gets the sockets of the process whose admin side listens on the UNIX socket at path.
// The caller calls Serving when it serves, and Close.
func Ask(ctx context.Context, path string) (*Inherited, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return nil, fmt.Errorf("takeover: %s: %w", path, ErrNobody)
	}
	if err != nil {
		return nil, fmt.Errorf("takeover: %w", err)
	}
	h, err := receive(nc.(*net.UnixConn))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("takeover: the process that listens on %s: %w", path, err)
	}
	return h, nil
}

func receive(nc *net.UnixConn) (*Inherited, error) {
	nc.SetDeadline(time.Now().Add(talk))
	defer nc.SetDeadline(time.Time{})
	if _, err := fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: uwgate\r\nConnection: Upgrade\r\nUpgrade: %s\r\nContent-Length: 0\r\n\r\n", Path, protocol); err != nil {
		return nil, err
	}
	if err := readSwitch(nc); err != nil {
		return nil, err
	}
	text, rights := make([]byte, maxRead), make([]byte, unix.CmsgSpace(4*maxSockets))
	n, oobn, flags, _, err := nc.ReadMsgUnix(text, rights)
	if err != nil {
		return nil, err
	}
	files, err := filesOf(rights[:oobn])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("it has passed too many sockets")
	}
	var l list
	if err == nil {
		err = json.Unmarshal(text[:n], &l)
	}
	if err == nil && len(l.Sockets) != len(files) {
		err = fmt.Errorf("it has passed %d sockets with %d names", len(files), len(l.Sockets))
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil, err
	}
	h := &Inherited{From: fmt.Sprintf("uwgate %s, process %d", l.Version, l.PID), PID: l.PID, owner: nc}
	for i, f := range files {
		h.sockets = append(h.sockets, passed{l.Sockets[i], f})
	}
	return h, nil
}

// readSwitch reads the head of the response, byte by byte: what follows comes with sockets.
func readSwitch(nc net.Conn) error {
	resp, err := http.ReadResponse(bufio.NewReaderSize(oneByte{nc}, 1), nil)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	why, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
		return errors.New("it is no uwgate that passes its sockets")
	}
	return fmt.Errorf("it refuses: %s: %.300s", resp.Status, why)
}

// oneByte reads one byte at a time.
type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

// filesOf returns the files that a control message passes.
func filesOf(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return files, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "socket"))
		}
	}
	return files, nil
}
