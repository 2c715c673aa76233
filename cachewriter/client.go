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

// A client speaks to one memcached over at most one connection for each of its
// two speakers. One goroutine uses it at a time.
type client struct {
	common *memcache.Client
	link   *link // of common
	plain  *plainClient
}

func newClient(addr string, dialTimeout, timeout time.Duration) *client {
	l := newLink(addr, dialTimeout)
	mc := memcache.NewFromSelector(fixedServer{l.endpoint})
	mc.Timeout = timeout
	mc.MaxIdleConns = 1
	mc.DialContext = func(context.Context, string, string) (net.Conn, error) { return l.dial() }
	return &client{mc, l, &plainClient{link: newLink(addr, dialTimeout), timeout: timeout}}
}

// delete removes values, all in one round trip; that there was none is no error. The
// error is nil, wraps ErrRefused, is the cause of ctx's end, or says that the server is
// broken.
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

// needsPlain picks out the keys that nginx asks for, memcached holds, and
// gomemcache refuses.
func needsPlain(key string) bool { return strings.IndexByte(key, 0x7f) >= 0 }

// verdict tells a refusal from a broken server among gomemcache's errors. An
// answer that it does not expect is only to be had from its text, where it
// stands quoted at the end.
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

// isRefusal knows the lines by which a live memcached says no.
func isRefusal(line string) bool {
	return strings.HasPrefix(line, "SERVER_ERROR") ||
		strings.HasPrefix(line, "CLIENT_ERROR") ||
		strings.HasPrefix(line, "NOT_STORED") ||
		strings.TrimRight(line, "\r\n") == "ERROR"
}

func refusal(line string) error {
	return fmt.Errorf("%w: %s", ErrRefused, strings.TrimRight(line, "\r\n"))
}

// relativeMax is the longest expiry, in seconds, that memcached counts from now
// on; a larger number is a Unix time to it (REALTIME_MAXDELTA in memcached.h).
const relativeMax = 30 * 24 * 60 * 60

// exptime is the expiry that memcached is told: whole seconds, rounded down but
// never 0, which would be for ever. Beyond 2038, where the number ends, it is the
// last second of that. expires must lie after now.
func exptime(now, expires time.Time) int32 {
	seconds := int64(expires.Sub(now) / time.Second)
	if seconds > relativeMax {
		return int32(min(expires.Unix(), math.MaxInt32))
	}
	return int32(max(seconds, 1))
}

func (e endpoint) Network() string { return e.network }

func (e endpoint) String() string { return e.address }

// fixedServer keeps gomemcache from choosing: it would hash the escaped key.
type fixedServer struct{ endpoint }

func (f fixedServer) PickServer(string) (net.Addr, error) { return f.endpoint, nil }

func (f fixedServer) Each(visit func(net.Addr) error) error { return visit(f.endpoint) }
