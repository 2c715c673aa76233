package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// A client speaks to one memcached, over at most one connection of gomemcache's and
// one of its own. One goroutine uses it at a time.
type client struct {
	common *memcache.Client
	link   *link // common's connection
	plain  *plainClient
}

func newClient(addr string, dialTimeout, timeout time.Duration) *client {
	l := newLink(addr, dialTimeout)
	mc := memcache.NewFromSelector(fixedServer{l.endpoint})
	mc.Timeout = timeout
	mc.MaxIdleConns = 1
	mc.DialContext = func(context.Context, string, string) (net.Conn, error) {
		nc, err := l.dial()
		if err != nil {
			return nil, err
		}
		return &bufferedConn{Conn: nc}, nil
	}
	return &client{mc, l, &plainClient{link: newLink(addr, dialTimeout), timeout: timeout}}
}

// delete removes values, all in one round trip. It is no error if there are none. The
// error is nil, wraps ErrRefused, is the cause of ctx's end, or means that the server
// failed.
func (c *client) delete(ctx context.Context, keys ...string) error {
	if len(keys) > 1 || needsPlain(keys[0]) {
		return c.plain.delete(ctx, keys...)
	}
	return c.link.do(ctx, func() error {
		err := c.common.Delete(keys[0])
		if errors.Is(err, memcache.ErrCacheMiss) {
			return nil
		}
		return replyError(err)
	})
}

func (c *client) close() {
	c.common.Close()
	c.plain.close()
}

// needsPlain reports whether nginx asks for a key and memcached holds it, but
// gomemcache refuses it.
func needsPlain(key string) bool { return strings.IndexByte(key, 0x7f) >= 0 }

// replyError returns ErrRefused for an error of gomemcache that stands for an error
// line. gomemcache quotes a line that it does not expect at the end of its error's
// text, and the line is nowhere else.
func replyError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, memcache.ErrNotStored) {
		return refusal("NOT_STORED")
	}
	text := err.Error()
	at := strings.LastIndex(text, `: "`)
	if at < 0 {
		return err
	}
	line, unquoteErr := strconv.Unquote(text[at+len(": "):])
	if unquoteErr != nil || !isRefusal(line) {
		return err
	}
	return refusal(line)
}

// isRefusal reports whether a line is one by which a live memcached refuses.
func isRefusal(line string) bool {
	return strings.HasPrefix(line, "SERVER_ERROR") ||
		strings.HasPrefix(line, "CLIENT_ERROR") ||
		strings.HasPrefix(line, "NOT_STORED") ||
		strings.TrimRight(line, "\r\n") == "ERROR"
}

// isCutOff reports whether some of several commands may succeed without the others: one
// was refused, or the connection was closed.
func isCutOff(err error) bool { return errors.Is(err, ErrRefused) || isClosed(err) }

func refusal(line string) error {
	return fmt.Errorf("%w: %s", ErrRefused, strings.TrimRight(line, "\r\n"))
}

// relativeMax is the longest expiry, in seconds, that memcached counts from now on.
// It takes a larger number for a Unix time (REALTIME_MAXDELTA in memcached.h).
const relativeMax = 30 * 24 * 60 * 60

// exptime is the expiry in memcached's form: whole seconds, rounded down but never 0,
// which would mean for ever. The number ends in 2038; a later expiry becomes its last
// second. expires must be after now.
func exptime(now, expires time.Time) int32 {
	seconds := int64(expires.Sub(now) / time.Second)
	if seconds > relativeMax {
		return int32(min(expires.Unix(), math.MaxInt32))
	}
	return int32(max(seconds, 1))
}

func (e endpoint) Network() string { return e.network }

func (e endpoint) String() string { return e.address }

// fixedServer makes gomemcache use one server. It would choose by the escaped key.
type fixedServer struct{ endpoint }

func (f fixedServer) PickServer(string) (net.Addr, error) { return f.endpoint, nil }

func (f fixedServer) Each(visit func(net.Addr) error) error { return visit(f.endpoint) }
