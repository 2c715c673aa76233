package subscription

import (
	"context"
	"crypto"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway/backend"
)

// A Registry keeps the pools of servers that announce themselves with uWSGI's
// subscription datagrams. The exported fields are set before the first use; the
// methods are safe for concurrent use.
//
// A server is a member from its first announcement until it says that it leaves,
// or until it has been silent for Tolerance. It is [backend.NodeSpec.Unproven] at first:
// uWSGI announces itself before the application is loaded. Requests under way are
// never cut off.
//
// What datagrams can cause is bounded: the number of keys, of servers and of
// datagrams a second, and the time for which anything is remembered. A datagram
// that is not allowed or malformed has no effect but on [Registry.Stats] and,
// once a second at most, on the log. If there are very many of them not all are read,
// and nobody expires for what may have been among those.
//
// It has the goroutines that call Serve, and one for expiry and the snapshot as
// long as there are any.
type Registry struct {
	// Networks are where UDP datagrams may come from, and where the servers may
	// be that they announce. Nil means loopback alone. A loopback address is
	// only taken from this machine. Whoever can write to a UNIX socket may
	// announce servers anywhere.
	Networks []netip.Prefix

	// Keys are globs of the keys that are taken, as in *.example.com, in the
	// manner of path.Match. Case matters. Nil means all.
	Keys []string

	// AllowUnix takes addresses that are UNIX sockets from UDP, too, and not
	// only from UNIX sockets.
	AllowUnix bool

	// AllowModifiers are the pairs of modifier1 and modifier2 that servers may
	// ask for besides 0 and 0, which leave it to the pool.
	AllowModifiers [][2]uint8

	// PublicKeys is a directory with a file KEY.pem for each key, in whose name
	// all characters of the key but letters, digits, dot, dash and underscore
	// are underscores. With it only signed datagrams are taken: RSA PKCS#1 v1.5
	// over all vars, with a time at most 60 s from ours. "" takes all datagrams.
	//
	// uWSGI's signature does not cover the byte that tells an announcement from
	// a leave, so that one can be made the other. Therefore the signed times of
	// a server have to grow, in whichever datagrams they come: one that was
	// overheard is worth nothing any more. Who can hold a datagram back can
	// still turn it around. An announcement that became a leave costs a server
	// its requests until the next announcement, no more than if it had been
	// lost; a leave that became an announcement keeps a server for one
	// Tolerance, in which the pool sees for itself that nobody answers.
	//
	// Nor does it cover the source of the datagram: a signed address has to be
	// complete.
	PublicKeys string

	// Digest is that of the signatures: crypto.SHA1, SHA256 or SHA512. Zero
	// means SHA256.
	Digest crypto.Hash

	// Tolerance is the time after which a silent server is gone. Zero means
	// 17 s, as in uWSGI, whose instances announce themselves every 10 s.
	Tolerance time.Duration

	// MaxKeys bounds the keys, and MaxNodes the servers of each. Zero means
	// 1024 and 128.
	MaxKeys, MaxNodes int

	// Rate is the number of datagrams a second from one address, or from one
	// /64 network of IPv6; twice as many may come at once. Zero means 1000.
	Rate int

	// Snapshot is a file that keeps the servers while the program restarts.
	// "" means none.
	Snapshot string

	// Make makes the pool for a key, and sets its options. Nil makes one with that
	// Name.
	Make func(key string) *backend.Pool

	// Log is told who comes and goes, and of refusals. Nil is silent.
	Log *zap.Logger

	pools    sync.Map // *backend.Pool by key: what Pool reads, so that no datagram holds up a request
	rates    rates
	refusals refusals

	mu        sync.Mutex // guards what follows
	restored  bool       // the snapshot was read
	serving   int        // calls of Serve
	stop      context.CancelFunc
	stopped   chan struct{}
	wake      chan struct{}       // tells watch of an earlier deadline; nil before the first Serve
	services  map[string]*service // by key
	deadlines deadlines
	replays   replays
	rested    time.Time // when Serve last ended a rest
	saveAt    time.Time // when the snapshot is due; zero: it is up to date
	counts    Stats
}

const maxDatagram = 4096 // bytes, as uWSGI's own servers

// Serve reads datagrams from pc until ctx is done, then returns nil; it closes pc.
// It may be called for several sockets. The last call to return writes the
// snapshot.
func (s *Registry) Serve(ctx context.Context, pc net.PacketConn) error {
	defer s.enter()()
	defer pc.Close()
	defer context.AfterFunc(ctx, func() { pc.Close() })()
	unix, _ := pc.(*net.UnixConn)
	b := make([]byte, maxDatagram+1) // one more, so that longer ones are seen to be
	g := guard{pc: pc}
	for {
		n, addr, err := pc.ReadFrom(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case isTimeout(err):
			g.readmit(time.Now())
		case err != nil:
			s.log().Error("subscriptions not read", zap.Error(err))
			pause(ctx, 100*time.Millisecond)
		default:
			from := sourceOf(addr, unix)
			if reason := s.receive(b[:n], from); reason != "" {
				s.rest(ctx, g.refused(reason, from, time.Now()))
			}
		}
	}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// pause keeps an error that lasts from becoming a busy loop.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// enter begins a Serve and returns what ends it.
func (s *Registry) enter() (leave func()) {
	s.Restore()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving++
	if s.serving == 1 {
		ctx, stop := context.WithCancel(context.Background())
		stopped := make(chan struct{})
		s.stop, s.stopped, s.wake = stop, stopped, make(chan struct{}, 1)
		go s.watch(ctx, stopped, s.wake)
	}
	return s.leave
}

func (s *Registry) leave() {
	s.mu.Lock()
	s.serving--
	last, stop, stopped := s.serving == 0, s.stop, s.stopped
	s.mu.Unlock()
	if last {
		stop()
		<-stopped
	}
}

// watch lets servers expire and writes the snapshot.
func (s *Registry) watch(ctx context.Context, stopped chan<- struct{}, wake <-chan struct{}) {
	defer close(stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			s.save()
			return
		case <-wake:
		case <-timer.C:
		}
		s.expire(time.Now())
		if s.isSaveDue(time.Now()) {
			s.save()
		}
		timer.Reset(s.untilNext(time.Now()))
	}
}

// untilNext is the time until watch has something to do.
func (s *Registry) untilNext(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := now.Add(time.Hour)
	if len(s.deadlines) > 0 {
		next = s.deadlines[0].expires
	}
	if !s.saveAt.IsZero() && s.saveAt.Before(next) {
		next = s.saveAt
	}
	return next.Sub(now)
}

// rouse has watch look again. It never waits. s.mu is held.
func (s *Registry) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Pool returns the pool for a host or another key, nil if no server has announced
// itself for it. A key is looked for as it is, in lower case, without its port,
// and then by its suffixes: a server for .example.com has the requests of all
// hosts below that, five labels deep at most.
func (s *Registry) Pool(key string) *backend.Pool {
	if key == "" || len(key) > 255+len(":65535") {
		return nil
	}
	if p := s.exact(key); p != nil {
		return p
	}
	lower := strings.ToLower(key)
	if p := s.exact(lower); p != nil {
		return p
	}
	host := backend.WithoutPort(lower)
	if p := s.exact(host); p != nil {
		return p
	}
	return s.suffix(host)
}

func (s *Registry) exact(key string) *backend.Pool {
	p, _ := s.pools.Load(key)
	found, _ := p.(*backend.Pool)
	return found
}

func (s *Registry) suffix(host string) *backend.Pool {
	for range 5 {
		if host == "" {
			return nil
		}
		dot := strings.IndexByte(host[1:], '.')
		if dot < 0 {
			return nil
		}
		host = host[1+dot:]
		if p := s.exact(host); p != nil {
			return p
		}
	}
	return nil
}

// Pools returns all pools that Pool can return.
func (s *Registry) Pools() []*backend.Pool {
	var all []*backend.Pool
	s.pools.Range(func(_, p any) bool {
		all = append(all, p.(*backend.Pool))
		return true
	})
	return all
}

func (s *Registry) tolerance() time.Duration { return orDefault(s.Tolerance, 17*time.Second) }

func (s *Registry) maxKeys() int  { return numberOr(s.MaxKeys, 1024) }
func (s *Registry) maxNodes() int { return numberOr(s.MaxNodes, 128) }
func (s *Registry) rate() int     { return numberOr(s.Rate, 1000) }

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

func numberOr(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

func (s *Registry) log() *zap.Logger {
	if s.Log == nil {
		return zap.NewNop()
	}
	return s.Log
}
