//go:build linux

package main

import (
	"cmp"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A load is a series of requests to a target. Like nginx, it opens a connection for
// each request and closes it when the announced bytes have arrived.
type load struct {
	to     string // "unix:/path" or "127.0.0.1:port"
	packet *packet
	want   int64 // bytes of each response's body

	// Either atOnce requests are under way all the time; or rate requests begin each
	// second, whether or not the earlier ones have ended. Then their latency counts
	// from the time when they were due, so that a target that stalls does not look
	// fast.
	atOnce int
	rate   float64

	// The tally begins after warmup. It ends, with the load, when the window is over
	// and at least one request that began in it has ended. If requests is set, the
	// load ends after that many requests.
	warmup, window time.Duration
	requests       int

	// used returns the CPU time so far; nil: not measured.
	used func() (usage, error)
}

// A tally contains the results of a load within its window.
type tally struct {
	begun     int   // all requests, also outside the window
	responses int   // complete ones
	bytes     int64 // bytes of bodies
	took      time.Duration
	used      usage
	latencies []time.Duration // of requests that began in the window, unordered
	failed    int             // among all requests
	failure   error           // the first one
}

// patience is how long no response may end.
const patience = 30 * time.Second

// run returns when the last request has ended. An error means that the load could not
// run; failed requests are in the tally.
func (l *load) run() (*tally, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := &generator{load: l, start: time.Now()}
	var err error
	if g.at, err = parseAddress(l.to); err != nil {
		return nil, err
	}
	if g.poller, err = newPoller(); err != nil {
		return nil, err
	}
	defer g.poller.close()
	if err := g.startTimer(); err != nil {
		return nil, err
	}
	defer unix.Close(g.timer)
	err = g.run()
	for _, c := range g.conns {
		if c != nil && c.busy {
			unix.Close(c.fd)
		}
	}
	return &g.tally, err
}

// A generator runs a load.
type generator struct {
	*load
	tally
	at     address
	poller *poller
	timer  int
	start  time.Time
	now    time.Duration // since start
	moved  time.Duration // when the last response ended
	open   int
	conns  []*conn // by descriptor
	phase  phase
	since  time.Duration // begin of the window
	before usage         // at the begin of the window
	buf    [256 << 10]byte
}

type phase int

const (
	warming phase = iota
	measured
	draining
)

// A conn is a request on its connection.
type conn struct {
	fd       int
	busy     bool
	began    time.Duration
	counts   bool   // the request began within the window
	rest     []byte // what is left to send of the packet
	response response
}

func (g *generator) run() error {
	for {
		g.now = time.Since(g.start)
		if err := g.turn(); err != nil {
			return err
		}
		g.begin()
		if g.open == 0 && g.isOver() {
			return nil
		}
		events, err := g.poller.wait(100)
		if err != nil {
			return err
		}
		for i := range events {
			g.handle(int(events[i].Fd))
		}
		if len(events) == 0 && g.now-g.moved > patience {
			return fmt.Errorf("bench: load: %d requests got no response for %v", g.open, patience)
		}
	}
}

// isOver reports whether the load begins no more requests.
func (g *generator) isOver() bool {
	return g.phase == draining || g.requests > 0 && g.begun >= g.requests
}

// turn begins the next phase if it is due.
func (g *generator) turn() error {
	var err error
	switch {
	case g.phase == warming && g.now >= g.warmup:
		g.phase, g.since = measured, g.now
		g.before, err = g.look()
	case g.phase == measured && g.now >= g.since+g.window && len(g.latencies) > 0:
		if g.rate > 0 {
			g.begin() // those that were due while the machine was busy
		}
		g.phase = draining
		var used usage
		used, err = g.look()
		g.tally.used, g.took = used.since(g.before), g.now-g.since
	}
	return err
}

func (g *generator) look() (usage, error) {
	if g.load.used == nil {
		return usage{}, nil
	}
	return g.load.used()
}

// startTimer starts a timer that wakes the generator when a request is due.
func (g *generator) startTimer() error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("bench: timer: %w", err)
	}
	g.timer = fd
	if g.rate == 0 {
		return nil
	}
	every := unix.NsecToTimespec(int64(float64(time.Second) / g.rate))
	err = unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil)
	return cmp.Or(err, g.poller.add(fd, unix.EPOLLIN|unix.EPOLLET))
}

// begin begins the requests that are due. If one fails at once, no other takes its
// place: requests to a target that is gone would never end.
func (g *generator) begin() {
	for room := g.atOnce - g.open; !g.isOver(); room-- {
		due := g.now
		if g.rate > 0 {
			due = time.Duration(float64(g.begun) / g.rate * float64(time.Second))
		}
		if due > g.now || g.rate == 0 && room <= 0 {
			return
		}
		g.ask(due)
	}
}

// ask begins a request that was due at that time.
func (g *generator) ask(due time.Duration) {
	g.begun++
	fd, err := g.at.connect()
	if err != nil {
		g.fail(err)
		return
	}
	c := g.conn(fd)
	c.began, c.counts = due, g.phase == measured
	g.open++
	packet := g.packet.next()
	n, err := write(fd, packet)
	c.rest = append(c.rest[:0], packet[n:]...)
	if err == nil {
		err = g.poller.add(fd, changes)
	}
	if err != nil {
		g.end(c, err)
	}
}

// conn returns the conn of a descriptor. It uses its memory again.
func (g *generator) conn(fd int) *conn {
	for len(g.conns) <= fd {
		g.conns = append(g.conns, nil)
	}
	c := g.conns[fd]
	if c == nil {
		c = &conn{fd: fd}
		g.conns[fd] = c
	}
	c.busy = true
	c.response.reset()
	return c
}

// handle continues the request of an event. The event may be of a connection that has
// ended since.
func (g *generator) handle(fd int) {
	if fd == g.timer {
		read(fd, g.buf[:8]) // otherwise the timer reports nothing again
		return
	}
	if fd >= len(g.conns) || g.conns[fd] == nil || !g.conns[fd].busy {
		return
	}
	c := g.conns[fd]
	for len(c.rest) > 0 {
		n, err := write(fd, c.rest)
		if err != nil {
			break // there may be a response nevertheless
		}
		if n == 0 {
			break
		}
		c.rest = c.rest[n:]
	}
	if done, err := g.hear(c); done || err != nil {
		g.end(c, err)
	}
}

// hear reads what has arrived.
func (g *generator) hear(c *conn) (done bool, err error) {
	for {
		n, end, err := read(c.fd, g.buf[:])
		switch {
		case err != nil:
			return false, err
		case end:
			return true, cmp.Or(c.response.end(), g.check(&c.response))
		case n == 0:
			return false, nil
		}
		before := c.response.body
		done, err = c.response.take(g.buf[:n])
		if g.phase == measured {
			g.bytes += c.response.body - before
		}
		if done || err != nil {
			return done, cmp.Or(err, g.check(&c.response))
		}
	}
}

// check returns an error if a complete response is wrong.
func (g *generator) check(a *response) error {
	if a.status != 200 || a.body != g.want {
		return fmt.Errorf("response with status %d and %d bytes, want 200 and %d", a.status, a.body, g.want)
	}
	return nil
}

// end closes the connection and counts the request.
func (g *generator) end(c *conn, err error) {
	unix.Close(c.fd)
	c.busy = false
	g.open--
	if err != nil {
		g.fail(err)
		return
	}
	now := time.Since(g.start)
	g.moved = now
	if g.phase == measured {
		g.responses++
	}
	if c.counts {
		g.latencies = append(g.latencies, now-c.began)
	}
}

func (g *generator) fail(err error) {
	g.failed++
	g.failure = cmp.Or(g.failure, err)
}

// flawless returns an error if a request failed.
func (t *tally) flawless() error {
	if t.failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d requests failed, the first with: %w", t.failed, t.begun, t.failure)
}
