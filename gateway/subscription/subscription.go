package subscription

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway/backend"
)

// A Registry keeps a pool for each key that uWSGI servers have announced. The exported
// fields are set before the first use. The methods are safe for concurrent use.
//
// A server is a member from its first announcement until it leaves, or until it was
// silent for Tolerance. Its node is [backend.NodeSpec.Unproven] at first, since uWSGI
// announces itself before it loads the application. Requests in flight go on when
// their server leaves.
//
// While Serve runs for at least one socket, the registry has one goroutine more, for
// expiry and the snapshot; the last Serve waits for it. The registry closes the pool
// of a key when its last server is gone. Whoever uses the registry closes the pools
// that remain at the end: see [Registry.Pools].
type Registry struct {
	Admission
	Limits

	// Tolerance is the time after which a silent server is no longer a member. Zero
	// means 17 s, as in uWSGI, whose servers announce themselves every 10 s.
	Tolerance time.Duration

	// Snapshot is the path of a file that keeps the servers while the program
	// restarts. "" means none.
	Snapshot string

	// Make makes the pool for a key, with its options. Nil makes a pool whose Name is
	// the key.
	Make func(key string) *backend.Pool

	// Log gets a line when a server comes or goes, and for refusals. Nil is silent.
	Log *zap.Logger

	pools    sync.Map // *backend.Pool by key: what Pool reads, so that no request waits for a datagram
	rates    rates
	refusals refusals

	mu sync.Mutex // guards state
	state
}

// Limits bound what a Registry keeps and reads. The zero value has the defaults.
type Limits struct {
	// MaxKeys is the most keys, MaxNodes the most servers of one key. Zero means 1024
	// and 128.
	MaxKeys, MaxNodes int

	// Rate is the number of datagrams a second from one address, or from one /64
	// network of IPv6. Twice as many may come at once. Zero means 1000.
	Rate int
}

// A state is what a Registry knows. Registry.mu guards it.
type state struct {
	watcher
	services  map[string]*service // by key
	deadlines deadlines           // all members
	replays   replays
	rested    time.Time // when Serve last ended a rest
	restored  bool      // the snapshot has been read
	saveAt    time.Time // when the snapshot is due; zero: it is up to date
	counts    Stats
}

// A watcher is the goroutine for expiry and the snapshot.
type watcher struct {
	serving int // calls of Serve; the watcher runs while there are any
	stop    context.CancelFunc
	stopped chan struct{}
	wake    chan struct{} // makes watch look at the deadlines again; nil before the first Serve
}

const maxDatagram = 4096 // bytes, as in uWSGI's own servers

// Serve reads datagrams from pc until ctx is done, then returns nil. It closes pc. It
// may be called for several sockets. The last call to return writes the snapshot.
func (s *Registry) Serve(ctx context.Context, pc net.PacketConn) error {
	defer s.enter()()
	defer pc.Close()
	defer context.AfterFunc(ctx, func() { pc.Close() })()
	unix, _ := pc.(*net.UnixConn)
	b := make([]byte, maxDatagram+1) // one byte more shows that a datagram is too long
	g := guard{pc: pc}
	for {
		n, addr, err := pc.ReadFrom(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case errors.Is(err, os.ErrDeadlineExceeded):
			g.readmit(time.Now())
		case err != nil:
			s.log().Error("announcements could not be read; uwgate tries again", zap.Error(err))
			pause(ctx, 100*time.Millisecond) // an error that lasts must not become a busy loop
		default:
			from := sourceOf(addr, unix)
			if reason := s.receive(b[:n], from); reason != "" {
				s.rest(ctx, g.refused(reason, from, time.Now()))
			}
		}
	}
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// enter begins a Serve. The caller calls leave at its end.
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

// watch removes servers that expire and writes the snapshot, until ctx is done.
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

// rouse makes watch look at the deadlines again. It never waits. s.mu is held.
func (s *Registry) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Registry) tolerance() time.Duration {
	if s.Tolerance <= 0 {
		return 17 * time.Second
	}
	return s.Tolerance
}

func (l Limits) maxKeys() int  { return numberOr(l.MaxKeys, 1024) }
func (l Limits) maxNodes() int { return numberOr(l.MaxNodes, 128) }
func (l Limits) rate() int     { return numberOr(l.Rate, 1000) }

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
