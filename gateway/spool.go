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

// A spool holds a request's body from the time nginx has sent it until the
// exchange ends. A worker that is given a body in pieces can do nothing else
// while it waits for them, and gives up after four seconds without one.
type spool struct {
	memory []byte   // a small body,
	file   *os.File // or a large one, in a file without a name
	disk   int64    // its bytes that are reserved in the budget
	whole  bool     // it has come to its end
}

// spoolInMemory is the largest body that is held in memory.
const spoolInMemory = 64 << 10

// isHeld reports whether the body is here, so that it can be sent twice.
func (s *spool) isHeld() bool { return s.memory != nil || s.file != nil }

// isApart reports whether the body is too large to go out with the packet: a
// worker may answer without reading, and must not find nobody listening.
func (s *spool) isApart() bool { return s.file != nil || len(s.memory) > clientBuffer }

// takeBody sees to it that the body is not too large, and takes it from nginx
// before a worker is troubled, unless uploads are to be streamed.
//
// One that does not begin to come may never come: with uwsgi_pass_request_body off, as
// for auth_request, nginx announces the visitor's body and does not send it. Or the
// visitor is slow, and nginx does not read ahead (uwsgi_request_buffering off). Both
// are served if that one body is streamed: a worker that does not read it answers.
func (x *exchange) takeBody(ctx context.Context) error {
	limit := x.g.Uploads.MaxBody
	switch {
	case limit > 0 && x.length > limit:
		return &failure{op: "read request body", side: sideClient, status: 413,
			err: fmt.Errorf("%d bytes are announced, and --max-request-body allows %d", x.length, limit)}
	case x.length == 0 || x.g.Uploads.Stream:
		return nil
	}
	if err := x.openSpool(); err != nil {
		return err
	}
	if late, err := x.isBodyLate(); late || err != nil {
		x.spool.free(x.g)
		return err
	}
	if x.spool.file != nil {
		return x.fileBody(ctx, x.spool.file)
	}
	return x.readBody(ctx, x.spool.memory)
}

// openSpool makes room for the body.
func (x *exchange) openSpool() error {
	if x.length <= spoolInMemory && x.g.spoolMemory.take(x.length, x.g.Uploads.memory()) {
		x.spool.memory = make([]byte, x.length)
		return nil
	}
	if err := x.reserveDisk(); err != nil {
		return err
	}
	f, err := createUnnamed(x.g.Uploads.Dir)
	if err != nil {
		x.spool.free(x.g)
		return spoolFailure(err)
	}
	x.spool.file = f
	x.g.stats.spoolFiles.Add(1)
	return nil
}

// reserveDisk takes the body's bytes from the budget for files.
func (x *exchange) reserveDisk() error {
	const op = "spool request body"
	limit := x.g.Uploads.disk()
	switch {
	case x.length > limit:
		return &failure{op: op, side: sideClient, status: 413,
			err: fmt.Errorf("%d bytes are announced, and --spool-disk allows %d for all bodies together", x.length, limit)}
	case !x.g.spoolDisk.take(x.length, limit):
		return &failure{op: op, side: sideGateway, status: 503, code: codeSpoolFull,
			err: fmt.Errorf("%d bytes are announced, and with them the bodies in files would exceed the %d bytes of --spool-disk; raise it, or stream uploads with --stream-uploads", x.length, limit)}
	}
	x.spool.disk = x.length
	return nil
}

// readBody fills b.
func (x *exchange) readBody(ctx context.Context, b []byte) error {
	for len(b) > 0 {
		x.client.SetReadDeadline(time.Now().Add(x.g.Timeouts.idle()))
		n, err := x.in.Read(b)
		b = b[n:]
		if err != nil && len(b) > 0 {
			return bodyFailure(ctx, err)
		}
	}
	return nil
}

// fileBody writes the body to f.
func (x *exchange) fileBody(ctx context.Context, f *os.File) error {
	here := int(min(int64(x.in.Buffered()), x.length))
	start, _ := x.in.Peek(here)
	if _, err := f.Write(start); err != nil {
		return spoolFailure(err)
	}
	x.in.Discard(here)
	p := socket.Copy{From: x.client, To: f, Left: x.length - int64(here), Idle: x.g.Timeouts.idle()}
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

// TrySpool reports what would keep a large body from being spooled.
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

// sendSpooled has one backend take the body.
func (x *exchange) sendSpooled(p *socket.Copy, sent chan<- struct{}) {
	defer close(sent)
	err := p.Run()
	// A backend may stop reading: its answer will tell.
	var werr socket.WriteError
	if err != nil && !errors.As(err, &werr) {
		x.tether.end(errSpoolLost)
	}
}

// origin reads the body from its start.
func (s *spool) origin() socket.Source {
	if s.file == nil {
		return inMemory{bytes.NewReader(s.memory)}
	}
	// Reading tells if this fails.
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
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		f.status = 507
	}
	return f
}
