package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"uwgate/gateway/socket"
)

// A spool holds a request's body from the time nginx has sent it until the request ends. A
// worker that gets a body in pieces can do nothing else while it waits for them, and gives
// up after four seconds without one.
type spool struct {
	memory []byte   // a small body,
	file   *os.File // or a large one, in a file without a name
	disk   int64    // its bytes that are reserved in the budget
	whole  bool     // all of it has come
}

// spoolInMemory is the largest body that is held in memory.
const spoolInMemory = 64 << 10

// isHeld reports whether the body is here, so that it can be sent twice.
func (s *spool) isHeld() bool { return s.memory != nil || s.file != nil }

// isApart reports whether the body is too large to go out with the packet: a
// worker may respond without reading, and somebody must read that response.
func (s *spool) isApart() bool { return s.file != nil || len(s.memory) > clientBuffer }

// takeBody reads the body from nginx before a worker is asked, unless uploads are
// streamed. A body that is too long is refused.
//
// A body that does not begin to come may never come: with uwsgi_pass_request_body off, as
// for auth_request, nginx announces the visitor's body and does not send it. Or the
// visitor is slow, and nginx does not read ahead (uwsgi_request_buffering off). Both work
// if that body is streamed: a worker that does not read it responds.
func (c *client) takeBody(ctx context.Context) error {
	limit := c.g.Uploads.MaxBody
	switch {
	case limit > 0 && c.length > limit:
		return &failure{op: "read request body", side: sideClient, status: 413,
			err: fmt.Errorf("%d bytes are announced, and --max-request-body allows %d", c.length, limit)}
	case c.length == 0 || c.g.Uploads.Stream:
		return nil
	}
	if err := c.spool.open(ctx, c.g, c.length); err != nil {
		return err
	}
	if late, err := c.awaitBody(); late || err != nil {
		c.spool.free(c.g)
		return err
	}
	var err error
	if c.spool.file != nil {
		err = c.fileBody(ctx, c.spool.file)
	} else {
		err = c.readBody(ctx, c.spool.memory)
	}
	c.spool.whole = err == nil
	return err
}

// open makes room for a body of that length.
func (s *spool) open(ctx context.Context, g *Gateway, length int64) error {
	if length <= spoolInMemory && g.spoolMemory.take(length, g.Uploads.memory()) {
		s.memory = make([]byte, length)
		return nil
	}
	if err := s.reserveDisk(g, length); err != nil {
		return err
	}
	f, err := awaitUnnamed(ctx, g.Uploads.Dir)
	if err != nil {
		s.free(g)
		return spoolFailure(err)
	}
	s.file = f
	g.stats.spoolFiles.Add(1)
	return nil
}

// reserveDisk takes the body's bytes from the budget for files.
func (s *spool) reserveDisk(g *Gateway, length int64) error {
	const op = "spool request body"
	limit := g.Uploads.disk()
	switch {
	case length > limit:
		return &failure{op: op, side: sideClient, status: 413,
			err: fmt.Errorf("%d bytes are announced, and --spool-disk allows %d for all bodies together", length, limit)}
	case !g.spoolDisk.take(length, limit):
		return &failure{op: op, side: sideGateway, status: 503, code: codeSpoolFull,
			err: fmt.Errorf("%d bytes are announced, and with them the bodies in files would exceed the %d bytes of --spool-disk; raise it, or stream uploads with --stream-uploads", length, limit)}
	}
	s.disk = length
	return nil
}

// readBody fills b.
func (c *client) readBody(ctx context.Context, b []byte) error {
	for len(b) > 0 {
		c.conn.SetReadDeadline(time.Now().Add(c.g.Timeouts.idle()))
		n, err := c.in.Read(b)
		b = b[n:]
		if err != nil && len(b) > 0 {
			return bodyFailure(ctx, err)
		}
	}
	return nil
}

// fileBody writes the body to f.
func (c *client) fileBody(ctx context.Context, f *os.File) error {
	here := int(min(int64(c.in.Buffered()), c.length))
	start, _ := c.in.Peek(here)
	if _, err := f.Write(start); err != nil {
		return spoolFailure(err)
	}
	c.in.Discard(here)
	p := socket.Copy{From: c.conn, To: f, Left: c.length - int64(here), Idle: c.g.Timeouts.idle()}
	err := p.Run()
	var werr socket.WriteError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &werr):
		return spoolFailure(werr)
	}
	return bodyFailure(ctx, err)
}

// createUnnamed makes a file that nobody else can open, and that is gone when it
// is closed, even by a crash.
func createUnnamed(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "uwgate-body-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// A request waits that long for a descriptor of a file, and tries that often.
const (
	shortageWait  = 10 * time.Second
	shortagePause = 50 * time.Millisecond
)

// awaitUnnamed is createUnnamed. While the process has no descriptor for another file, it
// waits: other requests end.
func awaitUnnamed(ctx context.Context, dir string) (*os.File, error) {
	f, err := createUnnamed(dir)
	if !isShortage(err) {
		return f, err
	}
	ctx, cancel := context.WithTimeout(ctx, shortageWait)
	defer cancel()
	tick := time.NewTicker(shortagePause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
		if f, err = createUnnamed(dir); !isShortage(err) {
			return f, err
		}
	}
}

// isShortage reports whether err says that there is no descriptor.
func isShortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// TrySpool returns why a large body could not be spooled, nil if it could.
func (g *Gateway) TrySpool() error {
	if g.Uploads.Stream {
		return nil
	}
	f, err := createUnnamed(g.Uploads.Dir)
	if err != nil {
		return err
	}
	return f.Close()
}

// source reads the body from its start.
func (s *spool) source() socket.Source {
	if s.file == nil {
		return inMemory{bytes.NewReader(s.memory)}
	}
	// If this fails, reading does, too.
	s.file.Seek(0, io.SeekStart)
	return s.file
}

// inMemory is a socket.Source that nobody has to wait for.
type inMemory struct{ io.Reader }

func (inMemory) SetReadDeadline(time.Time) error { return nil }

// free gives back what the body took.
func (s *spool) free(g *Gateway) {
	g.spoolMemory.free(int64(len(s.memory)))
	g.spoolDisk.free(s.disk)
	if s.file != nil {
		s.file.Close()
		g.stats.spoolFiles.Add(-1)
	}
	*s = spool{}
}

// bodyFailure is the failure to get the body from nginx.
func bodyFailure(ctx context.Context, err error) error {
	const op = "read request body"
	if gone := goneFailure(ctx, op); gone != nil {
		return gone
	}
	if isTimeout(err) {
		return &failure{op: op, side: sideClient, status: 408, err: errUploadStall}
	}
	return &failure{op: op, side: sideClient, status: statusClientGone, err: errClientGone}
}

// spoolFailure is that of our own disk.
func spoolFailure(err error) error {
	f := &failure{op: "spool request body", side: sideGateway, status: 500,
		err: fmt.Errorf("%w; name a folder with enough room by --spool-dir, or stream uploads with --stream-uploads", err)}
	if isShortage(err) {
		f.status, f.code = 503, codeShortage
		f.err = fmt.Errorf("%w; allow uwgate more open files (LimitNOFILE, ulimit -n)", err)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		f.status = 507
	}
	return f
}
