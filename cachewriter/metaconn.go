package cachewriter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxMetaWaiting bounds the commands of one connection that are not sent or have no
// response yet.
const maxMetaWaiting = 1024

// errNotSent is wrapped by the error of a call whose command was not sent.
var errNotSent = errors.New("the connection broke before the command was sent")

// A metaConn is one connection to a server that has meta commands. Its goroutines,
// read and write, end when it fails.
type metaConn struct {
	nc      net.Conn
	br      *bufio.Reader
	timeout time.Duration
	wake    chan struct{} // there is something to write; holds one
	dead    chan struct{} // closed by fail

	mu     sync.Mutex  // guards everything below
	queue  []*metaCall // to be written
	asked  []*metaCall // being written, or written and without a response, in order
	opaque uint64      // of the last written
	err    error       // why it failed
}

// A metaCall is one command under way.
type metaCall struct {
	cmd    metaCommand
	opaque uint64
	until  time.Time // when its response must have come
	left   bool      // nobody waits for it
	reply  metaReply // valid, like err, when done is closed
	err    error
	done   chan struct{}
}

// ask sends a command and waits for the response.
func (c *metaConn) ask(ctx context.Context, cmd metaCommand) (metaReply, error) {
	call := &metaCall{cmd: cmd, done: make(chan struct{})}
	if err := c.enqueue(call); err != nil {
		return metaReply{}, err
	}
	select {
	case <-call.done:
		return call.reply, call.err
	case <-ctx.Done():
		c.abandon(call)
		return metaReply{}, context.Cause(ctx)
	}
}

func (c *metaConn) enqueue(call *metaCall) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return fmt.Errorf("%w: %w", errNotSent, c.err)
	}
	if len(c.queue)+len(c.asked) >= maxMetaWaiting {
		return ErrBusy
	}
	c.queue = append(c.queue, call)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// abandon marks a call that nobody waits for. If it is not written yet, it never is.
func (c *metaConn) abandon(call *metaCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call.left = true
}

func (c *metaConn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil
}

// write is the goroutine that sends commands.
func (c *metaConn) write() {
	bw := bufio.NewWriter(c.nc)
	for {
		select {
		case <-c.wake:
		case <-c.dead:
			return
		}
		for _, call := range c.next() {
			c.nc.SetWriteDeadline(call.until)
			if err := call.write(bw); err != nil {
				c.fail(err)
				return
			}
		}
		if err := bw.Flush(); err != nil {
			c.fail(err)
			return
		}
	}
}

// next moves calls from queue to asked and returns them.
func (c *metaConn) next() []*metaCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	var batch []*metaCall
	until := time.Now().Add(c.timeout)
	for _, call := range c.queue {
		if call.left {
			continue
		}
		c.opaque++
		call.opaque, call.until = c.opaque, until
		batch = append(batch, call)
	}
	c.queue = nil
	if len(batch) == 0 {
		return nil
	}
	if len(c.asked) == 0 {
		c.nc.SetReadDeadline(until)
	}
	c.asked = append(c.asked, batch...)
	return batch
}

func (call *metaCall) write(bw *bufio.Writer) error {
	head, err := call.cmd.head(call.opaque)
	if err != nil {
		return err
	}
	if _, err := bw.WriteString(head); err != nil || call.cmd.verb != "ms" {
		return err
	}
	if _, err := bw.Write(call.cmd.value); err != nil {
		return err
	}
	_, err = bw.WriteString("\r\n")
	return err
}

// read is the goroutine that receives responses. It always reads, so that it notices
// at once when the server closes an idle connection.
func (c *metaConn) read() {
	for {
		reply, err := readMetaReply(c.br)
		if err == nil {
			err = c.deliver(reply)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// deliver passes a response to the call that is first in line. An error means that
// the connection cannot be trusted any more.
func (c *metaConn) deliver(reply metaReply) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.asked) == 0 {
		return fmt.Errorf("%w: %q, and no command was sent", errMetaReply, reply.status+reply.line)
	}
	call := c.asked[0]
	if !call.matches(reply) {
		return fmt.Errorf("%w: %s with opaque %q to %s with opaque %d", errMetaReply, reply.status, reply.opaque, call.cmd.verb, call.opaque)
	}
	c.asked = c.asked[1:]
	call.reply = reply
	close(call.done)
	var until time.Time
	if len(c.asked) > 0 {
		until = c.asked[0].until
	}
	c.nc.SetReadDeadline(until)
	if call.cmd.verb == "ms" && reply.status == "" && !strings.HasPrefix(reply.line, "SERVER_ERROR") {
		// The server may have run the value as commands.
		return fmt.Errorf("%w %q to ms", errMetaReply, reply.line)
	}
	return nil
}

// matches compares the opaque. Error lines have none.
func (call *metaCall) matches(reply metaReply) bool {
	if reply.status == "" {
		return true
	}
	return reply.opaque == strconv.FormatUint(call.opaque, 10)
}

// fail closes the connection and ends all calls. Commands that were not written may
// be sent on another connection.
func (c *metaConn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errTimeout
	}
	c.err = err
	c.nc.Close()
	close(c.dead)
	for _, call := range c.asked {
		call.err = err
		close(call.done)
	}
	for _, call := range c.queue {
		call.err = fmt.Errorf("%w: %w", errNotSent, err)
		close(call.done)
	}
	c.asked, c.queue = nil, nil
}

// dialMeta connects and makes the handshake.
func dialMeta(ctx context.Context, addr string, dialTimeout, timeout time.Duration) (*metaConn, error) {
	canonical, err := parseAddr(addr)
	if err != nil {
		return nil, err
	}
	network, address := dialArgs(canonical)
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	c := &metaConn{
		nc:      nc,
		br:      bufio.NewReader(nc),
		timeout: timeout,
		wake:    make(chan struct{}, 1),
		dead:    make(chan struct{}),
	}
	nc.SetDeadline(time.Now().Add(timeout))
	if err := c.handshake(addr); err != nil {
		nc.Close()
		if ctx.Err() != nil {
			return nil, ErrClosed
		}
		return nil, err
	}
	nc.SetDeadline(time.Time{})
	return c, nil
}

// handshake finds out whether the server has meta commands. It sends one command
// after the other: a proxy passes `version` to a server behind it, and closes the
// connection on `mn`.
func (c *metaConn) handshake(addr string) error {
	version, err := c.roundTrip("version\r\n")
	if err != nil {
		return noMeta(addr, "`version`", err)
	}
	if !speaksMeta(version) {
		return fmt.Errorf("%w; %s responds to `version` with %q", ErrNoMeta, addr, version)
	}
	line, err := c.roundTrip("mn\r\n")
	if err != nil {
		return noMeta(addr, fmt.Sprintf("`mn` after %q, as a proxy does", version), err)
	}
	if line != "MN" {
		return fmt.Errorf("%w; %s responds to `version` with %q and `mn` with %q", ErrNoMeta, addr, version, line)
	}
	return nil
}

func (c *metaConn) roundTrip(command string) (string, error) {
	if _, err := io.WriteString(c.nc, command); err != nil {
		return "", err
	}
	return readLine(c.br)
}

// noMeta returns ErrNoMeta if err means that the connection was closed, and else err.
func noMeta(addr, what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("%w; %s closes the connection on %s", ErrNoMeta, addr, what)
	}
	return err
}

// speaksMeta reports whether a version's `ms` has today's form.
func speaksMeta(line string) bool {
	text, ok := strings.CutPrefix(line, "VERSION ")
	if !ok {
		return false
	}
	major, rest, _ := strings.Cut(text, ".")
	minor, rest, _ := strings.Cut(rest, ".")
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	var v [3]int
	for i, s := range []string{major, minor, rest[:digits]} {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return false
		}
		v[i] = int(n)
	}
	return v[0] > 1 || v[0] == 1 && (v[1] > 6 || v[1] == 6 && v[2] >= 10)
}
