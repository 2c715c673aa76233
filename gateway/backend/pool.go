package backend

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"uwgate/uwsgi"
)

// Errors of [Pool.Dial]. Nothing was sent to any server.
var (
	// ErrUnavailable is matched when no server accepted the connection.
	ErrUnavailable = errors.New("no backend accepts connections")
	// ErrQueueFull is returned when every server has all the requests that it
	// may have, and as many wait already as may.
	ErrQueueFull = errors.New("all backends are busy and the queue is full")
	// ErrQueueTimeout is returned to a request that has waited in vain.
	ErrQueueTimeout = errors.New("all backends are busy and no request ended in time")
)

// A Pool is a set of servers that can answer the same requests. It is made by
// [NewPool], or from its zero value with [Pool.Add] and [Pool.Set]; the exported
// fields may be set before the first Dial. Its methods are safe for concurrent
// use.
//
// It has goroutines only while they have something to do: one for each probe
// of a server that is in doubt, and one while names are looked up. [Pool.Close]
// ends them.
type Pool struct {
	// Name is for logs and metrics; the default pool has none.
	Name string

	// DialTimeout bounds the time for connecting of one call of Dial, however
	// many servers it tries. Zero means one second.
	DialTimeout time.Duration

	// Choice says which of the servers that are free takes a request.
	Choice Choice

	// QueueLength is the number of requests that may wait for a server. Zero
	// means 1024, negative none.
	QueueLength int

	// QueueTimeout is how long a request may wait. Zero means 10 s.
	QueueTimeout time.Duration

	// SlowStart is the time in which the share of a server that is new or back
	// grows to the full one. Zero means that it has that at once.
	SlowStart time.Duration

	// BufferSize and MaxVars are those of the workers: the size of the largest
	// block in bytes, and the number of vars. Whoever makes the requests keeps
	// within them; see [Pool.Takes]. Zero means what a packet can hold, and any
	// number.
	BufferSize, MaxVars int

	// Modifier1 and Modifier2 go out to servers that have none of their own.
	Modifier1, Modifier2 uint8

	// AllowVars are UWSGI_* vars that the workers may get, each as NAME or, for
	// one value alone, as NAME=VALUE. SetVars replace those of the request.
	// The pool only keeps them for whoever makes the requests.
	AllowVars []string
	SetVars   uwsgi.Vars

	// Probe is what a server in doubt is asked.
	Probe Probe

	// ProbeInterval is the pause between the probes of a server that accepts
	// connections and does not answer. Zero means 5 s.
	ProbeInterval time.Duration

	// ProbeTimeout bounds a probe. Zero means 2 s.
	ProbeTimeout time.Duration

	// ResolveInterval is the age at which the addresses of a name are looked
	// up again. Zero means 30 s.
	ResolveInterval time.Duration

	// Resolver looks names up. Nil means that of the machine.
	Resolver Resolver

	// Log is told when a server is ejected and when it is back. Nil is silent.
	Log *zap.Logger

	dialer func(ctx context.Context, n *Node, d time.Duration) (net.Conn, error) // nil: the network

	once sync.Once // makes what follows
	*pool
}

// A pool is what outlives the options of a [Pool]: the servers with all that is known
// about them, and who waits. [Pools.Replace] hands it on from one Pool to the next, so
// that the requests of both count as one.
type pool struct {
	now atomic.Pointer[Pool] // the newest one, whose options are in force

	outage atomic.Int64 // when a Dial last found no server, in nanoseconds; 0: one has been found since

	mu       sync.Mutex // guards what follows, and the nodes' fields that say so
	started  bool       // the options are read, the first Dial has begun
	retired  bool       // nothing runs in the background any more
	closed   bool
	config   []NodeSpec            // as it was set: names may stand for many nodes
	found    map[string][]NodeSpec // what names stand for, by Addr
	nodes    []*Node               // in the order of the configuration
	tiers    [tiers]tier
	reached  pass // the place in the round that the choice has come to
	ring     ring // empty unless Choice is a hash
	queue    queue
	budget   budget
	lookup   *time.Timer   // for the next look-up of names; nil: none yet
	lookedUp chan struct{} // closed after the first look-up; nil: none has begun
	counts   poolCounts
	failures uint64 // connects and suspicions so far
	probes   int    // running
	noPlugin sync.Once

	done   context.Context // ended by retire
	finish context.CancelFunc
	work   sync.WaitGroup // probes and look-ups
}

// poolCounts are guarded by Pool.mu.
type poolCounts struct {
	queued, queueFull, queueTimeouts, retries, retriesDenied uint64
}

// NewPool makes a pool of servers as [ParseNode] reads them. It looks no name
// up.
func NewPool(servers ...string) (*Pool, error) {
	p := &Pool{}
	for _, s := range servers {
		if err := p.Add(s); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Want is what a request asks of a pool.
type Want struct {
	// Avoid is not chosen if another server is free: it has failed this
	// request already.
	Avoid *Node

	// HashKey chooses the server if Choice is a hash. Without one the choice
	// is like RoundRobin's.
	HashKey string

	// Host is whom the request is for: hosts take turns in the queue.
	Host string
}

// A Conn is the connection of one request. Close gives the node's place to the
// next one.
type Conn struct {
	net.Conn
	Node *Node

	pool   *pool
	closed atomic.Bool
}

// Raw returns the connection under c: one of package socket or net, or a *tls.Conn.
func (c *Conn) Raw() net.Conn { return c.Conn }

// Close closes the connection. Only the first call does anything.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	err := c.Conn.Close()
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.Node.open--
	c.Node.endedAt = time.Now()
	c.pool.give(c.Node)
	return err
}

// Report tells the pool what became of the request. It ejects no server by
// itself: a client can cause every outcome.
func (c *Conn) Report(o Outcome) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.pool.report(c.Node, o)
}

// Dial connects to one of the servers. If all that are up have as many requests
// as they may have, it waits in the queue. A server that does not accept the
// connection is ejected and another one tried, the ejected ones if no other is
// left. The error matches [ErrUnavailable], [ErrQueueFull] or [ErrQueueTimeout],
// or is ctx's cause if that ended first. The caller closes the connection.
func (p *Pool) Dial(ctx context.Context, w Want) (*Conn, error) {
	d := dialing{p: p.init(), want: w, left: p.dialTimeout()}
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	for {
		n, err := d.acquire(ctx)
		if err != nil {
			return nil, err
		}
		nc, err := d.connect(ctx, n)
		if err == nil {
			return p.connected(n, nc), nil
		}
		if err = d.failed(ctx, n, err); err != nil {
			return nil, err
		}
	}
}

// Outage returns when a Dial last found no server, or the zero time if that has been
// forgotten by Recover.
func (p *Pool) Outage() time.Time {
	if at := p.init().outage.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Recover is called when a server has answered. It reports, once, whether there was an
// Outage before.
func (p *Pool) Recover() bool {
	o := &p.init().outage
	return o.Load() != 0 && o.Swap(0) != 0
}

// begin counts a request, and waits for the first look-up of names where
// nobody can be asked before.
func (p *pool) begin(ctx context.Context) error {
	p.mu.Lock()
	p.start()
	p.budget.request(time.Now())
	wait := p.lookedUp
	if len(p.nodes) > 0 {
		wait = nil
	}
	p.mu.Unlock()
	if wait == nil {
		return nil
	}
	select {
	case <-wait:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(p.options().dialTimeout()):
	}
	return nil
}

// start reads the options, once. p.mu is held.
func (p *pool) start() {
	if p.started {
		return
	}
	p.started = true
	p.arrange()
	p.watchNames()
}

// init makes what the zero value lacks.
func (p *Pool) init() *pool {
	p.once.Do(func() {
		p.pool = &pool{}
		p.now.Store(p)
		p.done, p.finish = context.WithCancel(context.Background())
	})
	return p.pool
}

// options are those in force.
func (p *pool) options() *Pool { return p.now.Load() }

// Succeed makes p, which nobody uses yet, go on where old is, with those members.
// Requests that hold old go on, too, by p's options as far as they are not those of
// the request itself.
func (p *Pool) Succeed(old *Pool, members []NodeSpec) {
	p.init()
	p.pool = old.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Store(p)
	p.set(members)
}

// Close ends what runs in the background and whoever waits in the queue.
// Requests under way go on; Dial fails from then on.
func (p *Pool) Close() {
	p.init()
	p.mu.Lock()
	p.closed = true
	p.dispatch()
	p.mu.Unlock()
	p.retire()
}

// retire ends what runs in the background. Requests go on, new ones too.
func (p *pool) retire() {
	p.mu.Lock()
	p.retired = true
	p.finish()
	if p.lookup != nil {
		p.lookup.Stop()
	}
	for _, n := range p.nodes {
		if n.watch != nil {
			n.watch.Stop()
		}
	}
	p.mu.Unlock()
	p.work.Wait()
}

// Len returns the number of servers.
func (p *Pool) Len() int { return p.init().size() }

func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.nodes)
}

// Takes reports whether the workers accept a request: a block of that many
// bytes with that many vars.
func (p *Pool) Takes(size, vars int) bool {
	return (p.BufferSize == 0 || size <= p.BufferSize) && (p.MaxVars == 0 || vars <= p.MaxVars)
}

func (p *Pool) dialTimeout() time.Duration   { return orDefault(p.DialTimeout, time.Second) }
func (p *Pool) queueTimeout() time.Duration  { return orDefault(p.QueueTimeout, 10*time.Second) }
func (p *Pool) probeInterval() time.Duration { return orDefault(p.ProbeInterval, 5*time.Second) }
func (p *Pool) probeTimeout() time.Duration  { return orDefault(p.ProbeTimeout, 2*time.Second) }
func (p *Pool) resolveInterval() time.Duration {
	return orDefault(p.ResolveInterval, 30*time.Second)
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

func (p *Pool) queueLength() int {
	if p.QueueLength == 0 {
		return 1024
	}
	return max(p.QueueLength, 0)
}

func (p *Pool) log() *zap.Logger {
	switch {
	case p.Log == nil:
		return zap.NewNop()
	case p.Name != "":
		return p.Log.With(zap.String("pool", p.Name))
	}
	return p.Log
}
