package takeover

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"uwgate/gateway/socket"
)

// maxSockets is how many sockets the kernel passes at once (SCM_MAX_FD).
const maxSockets = 253

// An Offer passes the sockets of this process to its successor. Its fields are set, and its
// sockets added, before Handler is called. Its methods are safe for concurrent use.
type Offer struct {
	// Version is this process's, for the log of its successor.
	Version string

	// Leave is called, once, when a successor serves. The paths of the sockets are its
	// own by then.
	Leave func()

	// Log gets a line when the sockets are passed, and when that fails. It must be set.
	Log *zap.Logger

	mu      sync.Mutex // guards what follows
	sockets []offered
	closed  bool
	taken   bool // a successor serves
}

// An offered socket is kept twice: whoever accepts its connections may wrap it.
type offered struct {
	name
	file *os.File
	path *socket.PathListener // nil: it has none
}

// AddListener adds a listener that is not yet in use. One that has no file is left out.
func (o *Offer) AddListener(ln net.Listener) error {
	path, _ := ln.(*socket.PathListener)
	f, ok := ln.(interface{ File() (*os.File, error) })
	if !ok {
		return nil
	}
	return o.add(name{Network: ln.Addr().Network(), Addr: ln.Addr().String(), Owned: path != nil && path.Owns()}, path, f.File)
}

// AddPacketConn is AddListener for datagrams.
func (o *Offer) AddPacketConn(pc net.PacketConn) error {
	f, ok := pc.(interface{ File() (*os.File, error) })
	if !ok {
		return nil
	}
	return o.add(name{Network: pc.LocalAddr().Network(), Addr: pc.LocalAddr().String()}, nil, f.File)
}

func (o *Offer) add(n name, path *socket.PathListener, dup func() (*os.File, error)) error {
	f, err := dup()
	if err != nil {
		return fmt.Errorf("takeover: keep %s for a successor: %w", n.Addr, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sockets = append(o.sockets, offered{n, f, path})
	return nil
}

// Close closes what is kept of the sockets. Nobody gets them afterwards.
func (o *Offer) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, s := range o.sockets {
		s.file.Close()
	}
	o.sockets = nil
}

// Handler returns a handler that serves Path, and all else by next.
func (o *Offer) Handler(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.HandleFunc("POST "+Path, o.serve)
	return mux
}

func (o *Offer) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != protocol {
		http.Error(w, "send Upgrade: "+protocol+", as `uwgate serve --replace` does", http.StatusUpgradeRequired)
		return
	}
	raw, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(talk))
	nc, ok := raw.(*net.UnixConn)
	if !ok || !isOurs(nc) {
		io.WriteString(raw, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return
	}
	if err := o.pass(nc); err != nil {
		o.Log.Error("the sockets could not be passed to a successor", zap.Error(err))
		return
	}
	raw.SetDeadline(time.Now().Add(time.Minute)) // it starts, and may read a large nginx.conf
	if line, err := in.ReadString('\n'); err != nil || line != serving {
		o.Log.Warn("the process that was to replace this one has ended before it served; this one goes on", zap.Error(err))
		return
	}
	o.leave()
}

// IsTaken reports whether a successor serves.
func (o *Offer) IsTaken() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken
}

// pass sends the sockets and their names.
func (o *Offer) pass(nc *net.UnixConn) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		io.WriteString(nc, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 18\r\nConnection: close\r\n\r\nit drains already\n")
		return nil
	}
	l := list{Version: o.Version, PID: os.Getpid()}
	var fds []int
	for _, s := range o.sockets {
		rc, err := s.file.SyscallConn()
		if err == nil {
			err = rc.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
		if err != nil {
			return err
		}
		l.Sockets = append(l.Sockets, s.name)
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol); err != nil {
		return err
	}
	_, _, err = nc.WriteMsgUnix(text, unix.UnixRights(fds...), nil)
	return err
}

func (o *Offer) leave() {
	o.mu.Lock()
	done := o.taken || o.closed
	for _, s := range o.sockets {
		if s.path != nil && !done {
			s.path.GiveUp()
		}
	}
	o.taken = o.taken || !done
	o.mu.Unlock()
	if !done {
		o.Log.Info("another process serves in the place of this one")
		o.Leave()
	}
}

// isOurs reports whether the peer runs as our user or as root.
func isOurs(nc *net.UnixConn) bool {
	peer, err := socket.OwnerOf(nc)
	return err == nil && (peer.UID == 0 || int(peer.UID) == os.Geteuid())
}
