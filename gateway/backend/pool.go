package backend

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"uwgate/uwsgi"
)

// A Pool is a set of servers that can serve the same requests. [NewPool] makes one, or
// [Pool.Add] and [Pool.Set] fill the zero value. The exported fields are set before the
// first Dial. The methods are safe for concurrent use.
//
// A pool has goroutines only while they have work: one for each probe, and one while
// names are looked up. [Pool.Close] ends them and waits for them.
type Pool struct {
	// Name is for logs and metrics. The default pool has none.
	Name string

	// Choice says which of the free servers gets a request.
	Choice Choice

	// DialTimeout bounds the time that one Dial spends on connecting, however many
	// servers it tries. Zero means 1 s.
	DialTimeout time.Duration

	// SlowStart is the time in which the share of a server that is new or back grows
	// to its full share. Zero means that it has its full share at once.
	SlowStart time.Duration

	// QueueLength is the number of requests that may wait for a server: while all are
	// busy, and while none accepts connections. Zero means 1024, negative means none.
	QueueLength int

	// QueueTimeout is how long a request may wait, pauses between attempts to connect
	// included. Zero means 10 s.
	QueueTimeout time.Duration

	Packets
	Probing

	// ResolveInterval is the time after which names are looked up again. Zero means
	// 30 s.
	ResolveInterval time.Duration

	// Log gets a line when a server is ejected and when it is back. Nil is silent.
	Log *zap.Logger

	resolver resolver                                                              // nil: that of the machine
	dialer   func(ctx context.Context, n *Node, d time.Duration) (net.Conn, error) // nil: the network

	once sync.Once // makes what follows
	*pool
}

// Packets say what the workers of a pool accept, and what they get with each request.
// The pool itself applies them only to probes: whoever makes the requests keeps to them.
type Packets struct {
	// BufferSize is the size in bytes of the largest block that the workers accept,
	// and MaxVars the number of vars. Zero means what a packet can hold, and any
	// number. See [Packets.Takes].
	BufferSize, MaxVars int

	// Modifier1 and Modifier2 are for servers that have none of their own.
	Modifier1, Modifier2 uint8

	// AllowVars are the UWSGI_* vars that the workers may get, each as NAME or, for
	// one value only, as NAME=VALUE.
	AllowVars []string

	// SetVars replace the vars of the same name in each request.
	SetVars uwsgi.Vars
}

// Takes reports whether the workers accept a block of size bytes with that many vars.
func (p *Packets) Takes(size, vars int) bool {
	return (p.BufferSize == 0 || size <= p.BufferSize) && (p.MaxVars == 0 || vars <= p.MaxVars)
}

// A pool is what outlives the options of a [Pool]: the servers with their state, and the
// waiting requests. [Pool.Succeed] hands it on from one Pool to the next, so the requests
// of both count together.
type pool struct {
	now    atomic.Pointer[Pool]      // the newest one, whose options are in force
	outage atomic.Pointer[time.Time] // when a Dial last found no server; nil: see Recover

	mu sync.Mutex // guards what follows, and the fields of nodes that say so
	lifetime
	roster
	round
	absence
	queue    queue
	budget   budget
	counts   poolCounts
	failures uint64    // connects that failed and nodes that hang, so far
	probes   int       // that run
	shortAt  time.Time // when a shortage of this machine was last logged
	noPlugin sync.Once // logs that a server has no ping plugin
}

// A lifetime is how far a pool is between its first Dial and its Close.
type lifetime struct {
	started bool // the first Dial has read the options
	retired bool // nothing runs in the background any more
	closed  bool // and Dial fails

	done   context.Context // ended by retire
	finish context.CancelFunc
	work   sync.WaitGroup // probes and look-ups
}

// A roster is the servers of a pool. A name in the configuration may stand for several
// nodes.
type roster struct {
	config   []NodeSpec            // as it was set
	found    map[string][]NodeSpec // what names stand for, by Addr
	lost     map[string]bool       // names whose last look-up has failed
	nodes    []*Node               // in the order of the configuration
	lookup   *time.Timer           // for the next look-up of names; nil: there was none yet
	lookedUp chan struct{}         // closed after the first look-up; nil: none has begun
}

// A round is the order in which nodes get requests: see choose.go.
type round struct {
	tiers   [tiers]tier
	reached pass // the place in the round that the choice has reached
	ring    ring // empty unless Choice is a hash
}

// poolCounts are guarded by pool.mu.
type poolCounts struct {
	requests, queued, queueFull, queueTimeouts, retries, retriesDenied, shortages uint64
}

// NewPool makes a pool of servers, each written as [Pool.Add] reads it. It looks up no
// names.
func NewPool(servers ...string) (*Pool, error) {
	p := &Pool{}
	for _, s := range servers {
		if err := p.Add(s); err != nil {
			return nil, err
		}
	}
	return p, nil
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

// options returns the Pool whose options are in force.
func (p *pool) options() *Pool { return p.now.Load() }

// start reads the options, once. p.mu is held.
func (p *pool) start() {
	if p.started {
		return
	}
	p.started = true
	p.arrange()
	p.watchNames()
}

// Succeed makes p, which nobody uses yet, the successor of old with these servers. From
// then on p's options are in force for the requests of both. Servers that stay keep
// their state and their requests. What belongs to a request itself, as Packets do, stays
// as it was for requests that hold old.
func (p *Pool) Succeed(old *Pool, servers []NodeSpec) {
	p.init()
	p.pool = old.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Store(p)
	p.set(servers)
}

// Close ends the goroutines of the pool, waits for them, and fails the waiting requests.
// Requests that have a connection go on. Dial fails from then on.
func (p *Pool) Close() {
	p.init()
	p.mu.Lock()
	p.closed = true
	p.dispatch()
	if p.pause != nil {
		p.pause.Stop()
	}
	for _, n := range p.nodes {
		n.stopTimers()
	}
	p.mu.Unlock()
	p.retire()
}

// retire ends the goroutines of the pool and waits for them. Requests go on, new ones
// too. A timer that fires meanwhile finds retired set, and does nothing.
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

func (p *Pool) dialTimeout() time.Duration     { return orDefault(p.DialTimeout, time.Second) }
func (p *Pool) queueTimeout() time.Duration    { return orDefault(p.QueueTimeout, 10*time.Second) }
func (p *Pool) resolveInterval() time.Duration { return orDefault(p.ResolveInterval, 30*time.Second) }

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
