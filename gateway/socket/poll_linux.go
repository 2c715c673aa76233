package socket

import (
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A poller wakes those who wait for connections, for all of the process, with one
// goroutine, which the runtime's own poller wakes. Like that one, it lives as long as the process.
// A connection is registered when somebody has to wait for it, with one system call, and
// has no timer for waits that end soon. The price is that we keep the deadlines ourselves.
type poller struct {
	epoll int
	raw   syscall.RawConn

	waits Delay // waits with a deadline that have begun lately

	mu    sync.Mutex // guards what follows
	conns []place    // by descriptor
}

// A place is a descriptor's. The kernel may still report an event of the connection that
// had the descriptor before.
type place struct {
	conn *Conn
	turn int32 // counts the connections that had it
}

// thePoller is made for the first connection that waits.
var thePoller = sync.OnceValues(newPoller)

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that the runtime waits for it
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	p := &poller{epoll: fd, raw: raw}
	go p.run()
	return p, nil
}

// hungUp are the events of a peer that has left, in one direction or both.
const hungUp = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

// register reports changes of c from now on, and its present state: that it has something to
// read, that its peer leaves, and with out that there is room to write. c.mu is held.
func (p *poller) register(c *Conn, out bool) error {
	events := c.polled | unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1)
	if out {
		events |= unix.EPOLLOUT
	}
	if events == c.polled {
		return nil
	}
	op := unix.EPOLL_CTL_MOD
	if c.polled == 0 {
		op = unix.EPOLL_CTL_ADD
		c.turn = p.enter(c)
	}
	event := unix.EpollEvent{Events: events, Fd: int32(c.fd), Pad: c.turn}
	if err := epollCtl(p.epoll, op, c.fd, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	c.polled = events
	return nil
}

// enter gives c the place of its descriptor.
func (p *poller) enter(c *Conn) (turn int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.conns) <= c.fd {
		p.conns = append(p.conns, place{})
	}
	at := &p.conns[c.fd]
	at.conn = c
	at.turn++
	return at.turn
}

// leave removes c from its place, before its descriptor is closed: that ends the
// registration, and the descriptor may be another one's at once.
func (p *poller) leave(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c.fd].conn = nil
}

// find returns the connection that an event is about, nil if it has been closed.
func (p *poller) find(e *unix.EpollEvent) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.conns[e.Fd]; at.turn == e.Pad {
		return at.conn
	}
	return nil
}

func (p *poller) run() {
	var events [128]unix.EpollEvent
	var n int
	ready := func(epoll uintptr) bool {
		n = epollWait(int(epoll), events[:])
		return n > 0
	}
	for p.raw.Read(ready) == nil {
		for i := range events[:n] {
			if c := p.find(&events[i]); c != nil {
				c.wake(events[i].Events)
			}
		}
	}
}

// A side is one direction of a Conn. The Conn's mu guards it.
type side struct {
	conn     *Conn
	deadline time.Time
	waiting  int       // goroutines
	changed  sync.Cond // something has happened that those who wait should look at
	young    Delayed   // in poller.waits: the deadline has no timer yet
	timer    *time.Timer
}

// isOver reports whether the deadline has passed.
func (s *side) isOver() bool { return !s.deadline.IsZero() && !time.Now().Before(s.deadline) }

// wait returns when something may have happened on the side, its deadline has passed or
// was changed, or the connection was closed. conn.mu is held, but not meanwhile.
func (s *side) wait() error {
	p, err := thePoller()
	if err != nil {
		return err
	}
	c := s.conn
	if err := p.register(c, s == &c.writes); err != nil {
		return err
	}
	s.waiting++
	if s.waiting == 1 {
		s.watchDeadline(p)
	}
	s.changed.Wait()
	s.waiting--
	if s.waiting == 0 {
		s.forgetDeadline(p)
	}
	return nil
}

// watchDeadline wakes those who wait when the deadline has passed. conn.mu is held.
func (s *side) watchDeadline(p *poller) {
	if s.deadline.IsZero() {
		return
	}
	now := time.Now()
	if left := s.deadline.Sub(now); left > 2*DelayTime {
		p.waits.Add(&s.young, s, now)
	} else {
		s.timer = time.AfterFunc(left, s.wake)
	}
}

// forgetDeadline undoes watchDeadline. conn.mu is held.
func (s *side) forgetDeadline(p *poller) {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	} else if !s.deadline.IsZero() {
		p.waits.Remove(&s.young)
	}
}

// setDeadline changes the deadline, also of those who wait. conn.mu is held.
func (s *side) setDeadline(t time.Time) {
	if s.waiting == 0 {
		s.deadline = t
		return
	}
	p, err := thePoller()
	if err != nil {
		return // nobody can wait
	}
	s.forgetDeadline(p)
	s.deadline = t
	s.watchDeadline(p)
	s.changed.Broadcast()
}

// Due implements Due, for a wait that has not ended soon.
func (s *side) Due() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.waiting > 0 && s.timer == nil && !s.deadline.IsZero() {
		s.timer = time.AfterFunc(time.Until(s.deadline), s.wake)
	}
}

// wake wakes those who wait.
func (s *side) wake() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.changed.Broadcast()
}
