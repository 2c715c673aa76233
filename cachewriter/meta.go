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

// What a meta command did not do, and why.
var (
	ErrNoMeta    = errors.New("cachewriter: the meta commands need memcached 1.6.10 or later, and no proxy before it")
	ErrNotFound  = errors.New("cachewriter: nothing lies under the key")
	ErrNotStored = errors.New("cachewriter: not stored: the mode did not fit what lay there")
	ErrChanged   = errors.New("cachewriter: the entry has changed: its CAS is another")
	ErrBusy      = errors.New("cachewriter: too many meta commands wait for answers")
)

// Forever is the TTL of an entry that never expires.
const Forever time.Duration = -1

// A MetaItem is what memcached holds under a key, and what it knows of that.
type MetaItem struct {
	Value      []byte        // nil unless it was asked for
	Size       int           // of the value, in bytes
	Flags      uint32        // the client flags
	TTL        time.Duration // what is left, in whole seconds; or Forever
	Hit        bool          // it was read since it was stored
	LastAccess time.Duration // ago, in whole seconds
	CAS        uint64        // changes with every change of the entry
	Stale      bool          // it was invalidated and may still be used
	Won        bool          // it is Stale, and this caller is the first to see it: the one to renew it
}

// A MetaGet says how to read.
type MetaGet struct {
	// Value asks for the value, too.
	Value bool

	// Unseen leaves no trace: the entry does not count as Hit, nor as
	// accessed, nor as used for the eviction of what is used least. A Stale
	// entry's Won is given out all the same.
	Unseen bool
}

// A MetaMode says under which condition a value is stored.
type MetaMode string

const (
	MetaStore   MetaMode = "S" // in any case
	MetaAdd     MetaMode = "E" // if nothing lies there; an expired entry is nothing
	MetaReplace MetaMode = "R" // if something lies there
)

// A MetaSet says what to store, and how.
type MetaSet struct {
	// Value must not be changed from the call on, also when it was given up.
	Value []byte
	Flags uint32

	// Expires is when the entry must be gone. It must lie ahead.
	Expires time.Time

	// Mode "" means MetaStore.
	Mode MetaMode

	// CAS, unless 0, must be that of the entry.
	CAS uint64

	// Invalidate stores also if the entry's CAS is greater than the given
	// one, and marks what it stored as stale then.
	Invalidate bool

	// WantCAS asks for the CAS of what has been stored.
	WantCAS bool
}

// A MetaDelete says how to delete.
type MetaDelete struct {
	// CAS, unless 0, must be that of the entry.
	CAS uint64

	// Stale keeps the entry and marks it as stale. A reader that does not
	// speak meta, as nginx, is served it until it expires.
	Stale bool

	// Expires bounds the life of a stale entry. Zero leaves its expiry as
	// it is; else it must lie ahead.
	Expires time.Time
}

// A Meta speaks memcached's meta commands (mg, ms, md, mn) to one server, over one
// connection, on which the commands of any number of goroutines follow each
// other without waiting. Its exported fields are its options, to be set before the
// first call of a method; all methods are safe for concurrent use.
//
// Keys are wire keys as nginx sends them (Escape), or any other bytes: those with a
// byte up to 0x20 travel in base64, of which memcached takes 250 characters, so
// that they may have no more than 186 bytes.
//
// The connection is made by the first call that needs one, and again after it
// broke. Each is first asked whether it may be spoken to: `version`, then `mn`. An
// `ms` is never sent before, for a memcached older than 1.6.10 would run the value
// as commands. If the answer is no, every method returns ErrNoMeta, with what the
// server said, and it is asked again after RetryAfter.
//
// A call ends with its ctx, or after Timeout, dialling included. Its late answer is
// taken and thrown away, so that the others do not suffer. A server that leaves
// a command without an answer for Timeout has its connection closed, and all that
// waits there fails. A command that was sent may have been carried out even if it
// failed; one that was not yet sent when a connection broke is sent on the next.
//
// It has up to three goroutines, which end with the connection; Close waits for
// them.
type Meta struct {
	// Addr is the server, in one of the forms of Server.Addrs. It must be set.
	Addr string

	// DialTimeout bounds a connection attempt. 0 means 100 ms.
	DialTimeout time.Duration

	// Timeout bounds one operation. 0 means 250 ms.
	Timeout time.Duration

	// RetryAfter is how long ErrNoMeta is believed. 0 means 30 s.
	RetryAfter time.Duration

	now func() time.Time // nil: time.Now; tests turn it

	mu      sync.Mutex // guards everything below
	conn    *metaConn  // nil: none yet
	dialing *metaDial  // nil: nobody dials
	noMeta  error      // nil: nothing known against the server
	until   time.Time  // and until then it is believed
	closed  bool
	running sync.WaitGroup
}

// Get returns what lies under a key, with all that memcached knows of it, or nil
// if that is nothing.
func (m *Meta) Get(ctx context.Context, key string, how MetaGet) (*MetaItem, error) {
	flags := " t h l f s c"
	if how.Value {
		flags += " v"
	}
	if how.Unseen {
		flags += " u"
	}
	reply, err := m.do(ctx, "get", metaCommand{verb: "mg", key: key, flags: flags})
	if err != nil || reply.status == "EN" {
		return nil, err
	}
	if how.Value != (reply.status == "VA") {
		return nil, m.fail("get", fmt.Errorf("%w %s", errMetaReply, reply.status))
	}
	return &reply.item, nil
}

// Set stores a value and returns its CAS, if that is wanted. Errors are ErrNotStored
// (the Mode), ErrChanged and ErrNotFound (the CAS), ErrExpired, those of CheckKey, and
// one that wraps ErrRefused if memcached would not have the value. After that one
// the old value is gone, too.
func (m *Meta) Set(ctx context.Context, key string, s MetaSet) (cas uint64, err error) {
	exptime, err := m.exptime(s.Expires)
	if err != nil {
		return 0, err
	}
	if len(s.Value) > maxValue {
		return 0, m.fail("set", fmt.Errorf("%w: a value of %d bytes", ErrRefused, len(s.Value)))
	}
	flags := exptime + token(" F", uint64(s.Flags)) + token(" C", s.CAS)
	if s.Mode != "" {
		flags += " M" + string(s.Mode)
	}
	if s.Invalidate {
		flags += " I"
	}
	if s.WantCAS {
		flags += " c"
	}
	reply, err := m.do(ctx, "set", metaCommand{verb: "ms", key: key, flags: flags, value: s.Value})
	if err != nil {
		return 0, err
	}
	return reply.item.CAS, m.outcome("set", reply)
}

// Delete removes an entry, or marks it as stale. Errors are ErrNotFound, ErrChanged
// (the CAS), ErrExpired and those of CheckKey.
func (m *Meta) Delete(ctx context.Context, key string, d MetaDelete) error {
	flags := token(" C", d.CAS)
	if d.Stale {
		flags += " I"
	}
	if d.Stale && !d.Expires.IsZero() {
		exptime, err := m.exptime(d.Expires)
		if err != nil {
			return err
		}
		flags += exptime
	}
	reply, err := m.do(ctx, "delete", metaCommand{verb: "md", key: key, flags: flags})
	if err != nil {
		return err
	}
	return m.outcome("delete", reply)
}

// Noop returns nil if the server is there, speaks meta, and has answered
// everything that was sent before.
func (m *Meta) Noop(ctx context.Context) error {
	reply, err := m.do(ctx, "noop", metaCommand{verb: "mn"})
	if err == nil && reply.status != "MN" {
		return m.fail("noop", fmt.Errorf("%w %s", errMetaReply, reply.status))
	}
	return err
}

// Close ends the connection and waits for its goroutines. Calls under way, and
// those to come, return ErrClosed.
func (m *Meta) Close() {
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
func (m *Meta) outcome(op string, reply metaReply) error {
	switch reply.status {
	case "HD":
		return nil
	case "NS":
		return ErrNotStored
	case "EX":
		return ErrChanged
	case "NF":
		return ErrNotFound
	}
	return m.fail(op, fmt.Errorf("%w %s", errMetaReply, reply.status))
}

func (m *Meta) fail(op string, err error) error {
	return fmt.Errorf("cachewriter: meta %s on %s: %w", op, m.Addr, err)
}

// exptime is the T flag for an end that must lie ahead.
func (m *Meta) exptime(expires time.Time) (string, error) {
	now := m.clock()
	if !expires.After(now) {
		return "", ErrExpired
	}
	return " T" + strconv.Itoa(int(exptime(now, expires))), nil
}

// token is a flag with a number, and "" for 0, which is memcached's own default.
func token(flag string, n uint64) string {
	if n == 0 {
		return ""
	}
	return flag + strconv.FormatUint(n, 10)
}

// A metaCommand is one command but for its opaque.
type metaCommand struct {
	verb  string
	key   string // as the caller gave it; none for mn
	flags string // each with a space in front
	value []byte // of ms
}

// head is the command's line. mn takes no flags: memcached would not return an
// opaque with its answer.
func (c metaCommand) head(opaque uint64) (string, error) {
	if c.verb == "mn" {
		return "mn\r\n", nil
	}
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

// metaKey is a key as it stands in a command. memcached 1.6.18 takes DEL, bytes
// from 0x80 on and most control bytes as they are; space and LF end a key, and
// NUL the whole line. To be on the safe side all up to 0x20 go in base64.
func metaKey(key string) (text string, encoded bool, err error) {
	switch err := CheckKey(key); {
	case err == nil:
		return key, false, nil
	case !errors.Is(err, ErrBadKey):
		return "", false, err
	}
	if base64.StdEncoding.EncodedLen(len(key)) > MaxKeyLen {
		return "", false, ErrKeyTooLong
	}
	return base64.StdEncoding.EncodeToString([]byte(key)), true, nil
}

// do sends a command and waits for its reply, which may say anything but that
// it was refused.
func (m *Meta) do(ctx context.Context, op string, cmd metaCommand) (metaReply, error) {
	if _, err := cmd.head(0); err != nil {
		return metaReply{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, m.timeout(), errTimeout)
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

func (m *Meta) ask(ctx context.Context, cmd metaCommand) (metaReply, error) {
	c, err := m.connection(ctx)
	if err != nil {
		return metaReply{}, err
	}
	return c.ask(ctx, cmd)
}

// connection returns the connection, which is made if there is none.
func (m *Meta) connection(ctx context.Context) (*metaConn, error) {
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

// A metaDial is an attempt at a connection, for all who wait for one.
type metaDial struct {
	life   context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed once conn or err is set
	conn   *metaConn
	err    error
}

// dial makes the connection and asks who is there.
func (m *Meta) dial(d *metaDial) {
	defer d.cancel()
	conn, err := dialMeta(d.life, m.Addr, m.dialTimeout(), m.timeout())
	m.mu.Lock()
	defer m.mu.Unlock()
	defer close(d.done)
	m.dialing = nil
	m.noMeta = nil
	if errors.Is(err, ErrNoMeta) {
		m.noMeta, m.until = err, m.clock().Add(m.retryAfter())
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

func (m *Meta) clock() time.Time {
	if m.now == nil {
		return time.Now()
	}
	return m.now()
}

func (m *Meta) dialTimeout() time.Duration { return positive(m.DialTimeout, 100*time.Millisecond) }
func (m *Meta) timeout() time.Duration     { return positive(m.Timeout, 250*time.Millisecond) }
func (m *Meta) retryAfter() time.Duration  { return positive(m.RetryAfter, 30*time.Second) }
