package cachewriter

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrNoMeta is returned by what needs memcached's meta commands.
var ErrNoMeta = errors.New("cachewriter: the meta commands need memcached 1.6.10 or later, and no proxy before it")

// Why a meta command changed nothing.
var (
	errNotFound  = errors.New("cachewriter: there is nothing under the key")
	errNotStored = errors.New("cachewriter: not stored: there is something under the key")
	errChanged   = errors.New("cachewriter: the entry has changed: its CAS is another")
)

// Forever is the TTL of an entry that does not expire.
const Forever time.Duration = -1

// A metaItem is what memcached holds under a key, and what it knows about it.
type metaItem struct {
	value      []byte        // nil unless it was asked for
	size       int           // of the value, in bytes
	flags      uint32        // the client flags
	ttl        time.Duration // what is left, in whole seconds; or Forever
	hit        bool          // it was read since it was stored
	lastAccess time.Duration // ago, in whole seconds
	cas        uint64        // changes with every change of the entry
	stale      bool          // it was invalidated and may still be used
	won        bool          // it is stale, and this caller is the first to see it: it should refresh it
}

// A metaGet says how to read.
type metaGet struct {
	// Value asks for the value, too.
	value bool

	// Unseen leaves no trace: the entry does not count as Hit, nor as
	// accessed, nor as used for the eviction of what is used least. A Stale
	// entry's Won is given out all the same.
	unseen bool
}

// A metaSet says what to store, and how.
type metaSet struct {
	value   []byte    // must not be changed after the call, not even if the caller has left
	expires time.Time // must lie ahead
	add     bool      // store only if nothing lies under the key; an expired entry is nothing
	cas     uint64    // unless 0: store only if the entry has this CAS
	wantCAS bool      // ask for the CAS of what has been stored
}

// A metaDelete says how to delete.
type metaDelete struct {
	cas   uint64 // unless 0: delete only if the entry has this CAS
	stale bool   // keep the entry and mark it as stale; nginx is served it until it expires
}

// A metaClient sends memcached's meta commands (mg, ms, md) to one server, over one
// connection, on which the commands of any number of goroutines follow each other
// without waiting. All methods are safe for concurrent use.
//
// Keys are wire keys as nginx sends them (Escape), or any other bytes. Keys with a
// byte up to 0x20 are sent in base64, of which memcached accepts 250 characters: they
// may have 186 bytes at most.
//
// The first call that needs a connection makes it. A handshake asks first whether the
// server has meta commands: `version`, then `mn`. No `ms` is sent before that, since
// a memcached older than 1.6.10 would run the value as commands. If the server has
// none, every method returns ErrNoMeta with its response, and asks again after
// metaRetryAfter.
//
// A call ends with its ctx, or after timeout, which includes dialling. A late
// response is read and dropped, so that other calls are not affected. If a server
// does not respond to a command within timeout, its connection is closed and all
// calls on it fail. A command that was sent may have been executed even if the call
// failed. A command that was not yet sent when the connection broke is sent on the
// next one.
//
// It has up to three goroutines: dial, and the connection's read and write. They end
// with the connection; close waits for them.
type metaClient struct {
	// addr is the server, in a form of Server.Addrs.
	addr string

	// dialTimeout bounds a connection attempt. 0 means 100 ms.
	dialTimeout time.Duration

	// timeout bounds one operation. 0 means 250 ms.
	timeout time.Duration

	now func() time.Time // nil: time.Now; tests turn it

	mu      sync.Mutex // guards everything below
	conn    *metaConn  // nil: none yet
	dialing *metaDial  // nil: nobody dials
	noMeta  error      // nil: nothing known against the server
	until   time.Time  // and until then it is believed
	closed  bool
	running sync.WaitGroup
}

// get returns what lies under a key, with all that memcached knows about it, or nil
// if there is nothing.
func (m *metaClient) get(ctx context.Context, key string, how metaGet) (*metaItem, error) {
	flags := " t h l f s c"
	if how.value {
		flags += " v"
	}
	if how.unseen {
		flags += " u"
	}
	reply, err := m.do(ctx, "get", metaCommand{verb: "mg", key: key, flags: flags})
	if err != nil || reply.status == "EN" {
		return nil, err
	}
	if how.value != (reply.status == "VA") {
		return nil, m.fail("get", fmt.Errorf("%w %s", errMetaReply, reply.status))
	}
	return &reply.item, nil
}

// set stores a value and returns its CAS if wantCAS is set. Errors are errNotStored
// (add), errChanged and errNotFound (cas), ErrExpired, those of CheckKey, and one
// that wraps ErrRefused if memcached refuses the value. In that last case the old
// value is gone, too.
func (m *metaClient) set(ctx context.Context, key string, s metaSet) (cas uint64, err error) {
	exptime, err := m.exptime(s.expires)
	if err != nil {
		return 0, err
	}
	if len(s.value) > maxValue {
		return 0, m.fail("set", fmt.Errorf("%w: a value of %d bytes", ErrRefused, len(s.value)))
	}
	flags := exptime + token(" C", s.cas)
	if s.add {
		flags += " ME"
	}
	if s.wantCAS {
		flags += " c"
	}
	reply, err := m.do(ctx, "set", metaCommand{verb: "ms", key: key, flags: flags, value: s.value})
	if err != nil {
		return 0, err
	}
	return reply.item.cas, m.outcome("set", reply)
}

// delete removes an entry, or marks it as stale. Errors are errNotFound, errChanged
// (cas) and those of CheckKey.
func (m *metaClient) delete(ctx context.Context, key string, d metaDelete) error {
	flags := token(" C", d.cas)
	if d.stale {
		flags += " I"
	}
	reply, err := m.do(ctx, "delete", metaCommand{verb: "md", key: key, flags: flags})
	if err != nil {
		return err
	}
	return m.outcome("delete", reply)
}

// close closes the connection and waits for its goroutines. All calls return
// ErrClosed from then on.
func (m *metaClient) close() {
	m.mu.Lock()
	m.closed = true
	if m.conn != nil {
		m.conn.fail(ErrClosed)
	}
	if m.dialing != nil {
		m.dialing.cancel()
	}
	m.mu.Unlock()
	m.running.Wait()
}

// outcome turns a status into an error.
func (m *metaClient) outcome(op string, reply metaReply) error {
	switch reply.status {
	case "HD":
		return nil
	case "NS":
		return errNotStored
	case "EX":
		return errChanged
	case "NF":
		return errNotFound
	}
	return m.fail(op, fmt.Errorf("%w %s", errMetaReply, reply.status))
}

func (m *metaClient) fail(op string, err error) error {
	return fmt.Errorf("cachewriter: meta %s on %s: %w", op, m.addr, err)
}

// exptime is the T flag. expires must be in the future.
func (m *metaClient) exptime(expires time.Time) (string, error) {
	now := m.clock()
	if !expires.After(now) {
		return "", ErrExpired
	}
	return " T" + strconv.Itoa(int(exptime(now, expires))), nil
}

// token is a flag with a number, or "" for 0, which is memcached's default.
func token(flag string, n uint64) string {
	if n == 0 {
		return ""
	}
	return flag + strconv.FormatUint(n, 10)
}

// A metaCommand is one command without its opaque.
type metaCommand struct {
	verb  string
	key   string // as the caller gave it
	flags string // each with a space in front
	value []byte // of ms
}

// head returns the command's line.
func (c metaCommand) head(opaque uint64) (string, error) {
	key, base64, err := metaKey(c.key)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(c.verb + " " + key)
	if c.verb == "ms" {
		b.WriteString(" " + strconv.Itoa(len(c.value)))
	}
	if base64 {
		b.WriteString(" b")
	}
	b.WriteString(c.flags + token(" O", opaque) + "\r\n")
	return b.String(), nil
}

// metaKey is a key in the form of a command. memcached 1.6.18 accepts DEL, bytes from
// 0x80 on and most control bytes as they are; space and LF end a key, and NUL ends
// the line. To be safe, keys with any byte up to 0x20 are sent in base64.
func metaKey(key string) (text string, encoded bool, err error) {
	switch err := CheckKey(key); {
	case err == nil:
		return key, false, nil
	case !errors.Is(err, ErrBadKey):
		return "", false, err
	}
	if base64.StdEncoding.EncodedLen(len(key)) > maxKeyLen {
		return "", false, ErrKeyTooLong
	}
	return base64.StdEncoding.EncodeToString([]byte(key)), true, nil
}

// do sends a command and waits for the response. An error line is an error.
func (m *metaClient) do(ctx context.Context, op string, cmd metaCommand) (metaReply, error) {
	if _, err := cmd.head(0); err != nil {
		return metaReply{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, m.maxWait(), errTimeout)
	defer cancel()
	reply, err := m.ask(ctx, cmd)
	if errors.Is(err, errNotSent) {
		reply, err = m.ask(ctx, cmd)
	}
	if err == nil && reply.status == "" {
		err = refusal(reply.line)
	}
	switch {
	case err == nil:
		return reply, nil
	case errors.Is(err, ErrNoMeta) || errors.Is(err, ErrClosed) || errors.Is(err, ErrBusy):
		return reply, err
	}
	return reply, m.fail(op, err)
}

func (m *metaClient) ask(ctx context.Context, cmd metaCommand) (metaReply, error) {
	c, err := m.connection(ctx)
	if err != nil {
		return metaReply{}, err
	}
	return c.ask(ctx, cmd)
}

// connection returns the connection, and makes it if there is none.
func (m *metaClient) connection(ctx context.Context) (*metaConn, error) {
	m.mu.Lock()
	switch {
	case m.closed:
		m.mu.Unlock()
		return nil, ErrClosed
	case ctx.Err() != nil:
		m.mu.Unlock()
		return nil, context.Cause(ctx)
	case m.conn != nil && m.conn.alive():
		defer m.mu.Unlock()
		return m.conn, nil
	case m.noMeta != nil && m.clock().Before(m.until):
		defer m.mu.Unlock()
		return nil, m.noMeta
	}
	d := m.dialing
	if d == nil {
		life, cancel := context.WithCancel(context.Background())
		d = &metaDial{done: make(chan struct{}), life: life, cancel: cancel}
		m.dialing = d
		m.running.Go(func() { m.dial(d) })
	}
	m.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A metaDial is a connection attempt, for all calls that wait for it.
type metaDial struct {
	life   context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed once conn or err is set
	conn   *metaConn
	err    error
}

// dial makes the connection, with the handshake.
func (m *metaClient) dial(d *metaDial) {
	defer d.cancel()
	conn, err := dialMeta(d.life, m.addr, m.maxDial(), m.maxWait())
	m.mu.Lock()
	defer m.mu.Unlock()
	defer close(d.done)
	m.dialing = nil
	m.noMeta = nil
	if errors.Is(err, ErrNoMeta) {
		m.noMeta, m.until = err, m.clock().Add(metaRetryAfter)
	}
	if err == nil && m.closed {
		conn.nc.Close()
		err = ErrClosed
	}
	if d.err = err; err != nil {
		return
	}
	m.conn, d.conn = conn, conn
	m.running.Go(conn.read)
	m.running.Go(conn.write)
}

// waiting is the number of commands that are to be sent or have no response yet.
func (m *metaClient) waiting() int {
	m.mu.Lock()
	c := m.conn
	m.mu.Unlock()
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) + len(c.asked)
}

func (m *metaClient) clock() time.Time {
	if m.now == nil {
		return time.Now()
	}
	return m.now()
}

func (m *metaClient) maxDial() time.Duration { return positive(m.dialTimeout, 100*time.Millisecond) }
func (m *metaClient) maxWait() time.Duration { return positive(m.timeout, 250*time.Millisecond) }

// metaRetryAfter is how long a server is not asked again after ErrNoMeta.
const metaRetryAfter = 30 * time.Second
