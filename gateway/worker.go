package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// forward has a backend take the request and begin to answer.
func (x *exchange) forward(ctx context.Context) error {
	packet, err := x.packet()
	if err != nil {
		return err
	}
	if x.upload.left == 0 && !x.mayTunnel() {
		x.startReading(nil) // nginx may leave before a backend is found
	}
	x.asked = time.Now()
	want := x.want()
	for {
		nc, err := x.pool.Dial(ctx, want)
		if err != nil {
			return dialFailure(ctx, err)
		}
		x.connected(nc)
		err = x.ask(packet)
		if ctx.Err() == nil { // else the client's leaving has broken it off
			nc.Report(outcome(err))
		}
		if err == nil {
			x.noteAnswer()
			return nil
		}
		x.timedOut = isTimeout(err)
		if gone := x.goneUnheard(); gone != nil {
			return gone
		}
		if ctx.Err() != nil || want.Avoid != nil || !x.mayRetry(err) {
			return answerFailure(ctx, "read answer", err)
		}
		want.Avoid = nc.Node
		x.closeBackend()
	}
}

// want is what the choice of a server depends on.
func (x *exchange) want() backend.Want {
	w := backend.Want{Host: policy.HostOf(x.received)}
	switch x.pool.Choice {
	case backend.HashKey:
		if w.HashKey = x.plan.Key; w.HashKey == "" {
			w.HashKey = x.received.Get("REQUEST_URI")
		}
	case backend.HashClient:
		w.HashKey = x.received.Get("REMOTE_ADDR")
	}
	return w
}

// packet is the request as it goes out: head, and what is here of the body if
// that is not much.
func (x *exchange) packet() ([]byte, error) {
	b, err := encodeFor(x.pool, &x.out)
	switch {
	case err != nil:
		return nil, err
	case x.spool.isApart():
		return b, nil
	case x.spool.isHeld():
		return append(b, x.spool.memory...), nil
	case x.length == 0: // and perhaps somebody is reading from nginx
		return b, nil
	}
	here := int(min(int64(x.in.Buffered()), x.length))
	start, _ := x.in.Peek(here)
	x.in.Discard(here)
	x.upload.left = x.length - int64(here)
	return append(b, start...), nil
}

// encodeFor makes the packet for a server of the pool. A worker would answer one
// that is too large with a reset.
func encodeFor(pool *backend.Pool, req *uwsgi.Request) ([]byte, error) {
	size := req.Size()
	f := &failure{op: "encode request", side: sideClient, status: 431, err: uwsgi.ErrTooLarge}
	if !pool.Takes(size, len(req.Vars)) {
		f.code = uwsgi.TooManyVars
		if !pool.Takes(size, 0) {
			f.code = uwsgi.BlockTooLarge
		}
		f.err = fmt.Errorf("block of %d bytes with %d vars; the workers take %d bytes and %d vars (--buffer-size, --max-vars)",
			size, len(req.Vars), pool.BufferSize, pool.MaxVars)
		return nil, f
	}
	b, err := req.Append(make([]byte, 0, 4+size))
	if err != nil {
		f.err = err
		return nil, f
	}
	return b, nil
}

// connected makes nc the backend of the exchange.
func (x *exchange) connected(nc *backend.Conn) {
	x.conn = nc
	x.rec.backend = nc.Node.String()
	x.tether.hold(nc)
	if x.from == nil {
		x.from = backendReaders.Get().(*bufio.Reader)
	}
	x.from.Reset(nc)
}

// ask sends the packet and reads the head of the answer.
func (x *exchange) ask(packet []byte) error {
	x.conn.SetDeadline(time.Now().Add(x.g.Timeouts.firstByte()))
	address(packet, x.conn.Node)
	x.g.hintModifiers(x.sent, [2]uint8{packet[0], packet[3]})
	// A worker may refuse a request without reading it all, and then the
	// write fails though an answer has come: only reading tells.
	x.setMustHear(true)
	defer x.setMustHear(false)
	n, werr := x.conn.Write(packet)
	x.unseen = n == 0 && werr != nil
	if x.unseen {
		return werr
	}
	x.cutOff = isCutOff(werr)
	x.startUpload()
	resp, err := uwsgi.ReadResponse(x.from)
	if err == io.EOF && werr != nil {
		err = werr
	}
	x.resp = resp
	return err
}

// address puts the modifiers of a server into a packet's header.
func address(packet []byte, n *backend.Node) {
	packet[0], packet[3] = n.Modifiers()
}

// mayTunnel reports whether the client has asked for a 101.
func (x *exchange) mayTunnel() bool { return x.out.Vars.Get("HTTP_UPGRADE") != "" }

// mayRetry reports whether another backend may be asked the same again: if this one
// has not got a byte, anything; else what is safe, provided that it closed without
// a byte, the body is still here, and the upload has no tunnel to it in mind. The
// pool must have something left of its budget for that.
func (x *exchange) mayRetry(err error) bool {
	if x.pool.Len() == 1 {
		return false
	}
	switch x.method {
	case "GET", "HEAD", "OPTIONS":
		again := x.unseen || isSilent(err) && (x.length == 0 || x.spool.isHeld()) && !x.mayTunnel()
		return again && x.pool.TakeRetry()
	}
	return x.unseen && x.pool.TakeRetry()
}

// closeBackend ends the backend's connection, and with it the upload's writes.
func (x *exchange) closeBackend() {
	if x.conn == nil {
		return
	}
	x.tether.letGo()
	x.conn.Close()
	if x.upload.sent != nil {
		<-x.upload.sent
	}
}

// tally counts the bytes that the server has got and sent, heads of answers aside.
func (x *exchange) tally() {
	if x.conn != nil {
		x.conn.Node.Count(x.rec.bytes, 4+int64(x.out.Size())+x.length)
	}
}
