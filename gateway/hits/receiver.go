package hits

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway/tally"
	"uwgate/histogram"
)

// A Receiver counts the lines of nginx's access log. Its exported fields are set before the
// first Serve and not changed afterwards; its methods are safe for concurrent use.
type Receiver struct {
	// IsStore reports whether nginx's name of a server is that of a memcached server. Nil
	// knows none: then only srcache tells of hits.
	IsStore func(addr string) bool

	// Public returns a URI as people may see it. Nil returns it as it is.
	Public func(uri string) string

	// Peers are the networks that UDP datagrams may come from besides loopback. The mode
	// of a UNIX socket says who may send there.
	Peers []netip.Prefix

	// Log gets a line when lines cannot be used. Nil is silent.
	Log *zap.Logger

	counted, malformed, oversized, forbidden, lost atomic.Uint64

	listens, countsLoss atomic.Bool
	last                atomic.Int64 // when a line came, in nanoseconds since 1970

	hosts tally.Table[hostCounts]
	pages tally.Top // of hits, as HOST URI
	took  [len(Lookups)]histogram.Histogram
}

// hostCounts are those of a host.
type hostCounts struct {
	requests [len(Lookups)][6]uint64 // by the first digit of the status; 0: none of 1 to 5
	bytes    [len(Lookups)]uint64
	took     [len(Lookups)]time.Duration
}

// Add adds the counts of another host.
func (h *hostCounts) Add(o *hostCounts) {
	for i := range o.requests {
		for j, n := range o.requests[i] {
			h.requests[i][j] += n
		}
		h.bytes[i] += o.bytes[i]
		h.took[i] += o.took[i]
	}
}

const (
	// maxLine is the length of the longest line that is read, in bytes. nginx takes URIs of
	// up to 8 KiB.
	maxLine = 16 << 10

	// smallQueue is the number of datagrams under which a UNIX socket is soon full.
	smallQueue = 100

	// wantedBuffer is how much the kernel shall hold for us, in bytes, if it permits.
	wantedBuffer = 4 << 20

	minTook, maxTook = time.Millisecond, time.Minute
)

// Serve reads from pc, a UDP or a UNIX datagram socket, until ctx is done, and closes it.
func (r *Receiver) Serve(ctx context.Context, pc net.PacketConn) error {
	defer context.AfterFunc(ctx, func() { pc.Close() })()
	defer pc.Close()
	r.listens.Store(true)
	enlarge(pc)
	from := &source{pc: pc}
	if n := queueLength(); pc.LocalAddr().Network() == "unixgram" && 0 < n && n < smallQueue {
		r.warn("the system keeps few datagrams for a UNIX socket: of nginx's lines some will be lost, and nobody counts them",
			zap.String("fix", "set net.unix.max_dgram_qlen to 512 (sysctl) and start uwgate again, or use UDP: --hits-listen 127.0.0.1:5514"))
	}
	if udp, ok := pc.(*net.UDPConn); ok {
		from.udp, from.counts = udp, countLoss(udp)
		r.countsLoss.Store(from.counts)
	}
	buf := make([]byte, maxLine+1)
	for {
		n, addr, err := from.read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // of one datagram
			r.malformed.Add(1)
			continue
		}
		r.lost.Store(from.lost)
		r.take(buf[:n], addr)
	}
}

// take counts a datagram.
func (r *Receiver) take(b []byte, from netip.Addr) {
	switch {
	case !r.mayCome(from):
		r.forbidden.Add(1)
		r.warn("a line of nginx's access log was refused: its sender is not allowed; if it is your nginx, add --allow-peer", zap.Stringer("from", from))
		return
	case len(b) > maxLine:
		r.oversized.Add(1)
		return
	}
	req, err := parse(b, r.IsStore)
	if err != nil {
		r.malformed.Add(1)
		r.warn("a datagram at --hits-listen is no line of the log_format that `uwgate nginx` prints", zap.Error(err))
		return
	}
	now := time.Now()
	r.last.Store(now.UnixNano())
	r.counted.Add(1)
	r.count(&req, now)
}

func (r *Receiver) count(req *request, now time.Time) {
	i, class := req.lookup.index(), req.status/100
	if class > 5 {
		class = 0
	}
	r.took[i].Observe(req.took)
	r.hosts.Do(req.host, now, func(h *hostCounts) {
		h.requests[i][class]++
		h.bytes[i] += req.bytes
		h.took[i] += req.took
	})
	if req.lookup == Hit {
		uri := req.uri
		if r.Public != nil {
			uri = r.Public(uri)
		}
		r.pages.Add(req.host+" "+uri, now)
	}
}

// mayCome reports whether a datagram may come from there. The zero address is that of a UNIX
// socket.
func (r *Receiver) mayCome(from netip.Addr) bool {
	return !from.IsValid() || from.IsLoopback() || slices.ContainsFunc(r.Peers, func(p netip.Prefix) bool { return p.Contains(from) })
}

func (r *Receiver) warn(what string, fields ...zap.Field) {
	if r.Log != nil {
		r.Log.Warn(what, fields...)
	}
}

// Stats are a Receiver's counters.
type Stats struct {
	Listens bool // Serve was called
	Last    time.Time

	// Counted lines are in Hosts. Of the others, the content was not as it should be, the
	// length was over 16 KiB, or the sender may not send.
	Counted, Malformed, Oversized, Forbidden uint64

	// Lost is how many the kernel dropped since there was no room. CountsLoss says that it
	// counts that: it does for UDP, on Linux, and not for UNIX sockets. There the sender gets
	// an error, which nginx does not count either.
	Lost       uint64
	CountsLoss bool

	Hosts []Host // in no order
	Took  map[Lookup]histogram.Snapshot
}

// A Host is the counts of one host, or of tally.Other.
type Host struct {
	Host    string
	Lookups map[Lookup]Count
}

// A Count is that of requests with one kind of lookup.
type Count struct {
	Requests uint64
	Statuses map[string]uint64 // by class, as in 2xx; "other" for odd ones
	Bytes    uint64            // that nginx sent
	Took     time.Duration     // all together
}

// Hits returns the number of hits.
func (h *Host) Hits() uint64 { return h.Lookups[Hit].Requests }

// Misses returns the number of misses.
func (h *Host) Misses() uint64 { return h.Lookups[Miss].Requests }

var classes = [...]string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Stats returns a snapshot, which the caller owns.
func (r *Receiver) Stats() Stats {
	s := Stats{
		Listens: r.listens.Load(), Counted: r.counted.Load(), Malformed: r.malformed.Load(), Oversized: r.oversized.Load(), Forbidden: r.forbidden.Load(),
		Lost: r.lost.Load(), CountsLoss: r.countsLoss.Load(), Took: map[Lookup]histogram.Snapshot{},
	}
	if at := r.last.Load(); at != 0 {
		s.Last = time.Unix(0, at)
	}
	for i, l := range Lookups {
		s.Took[l] = r.took[i].Snapshot(minTook, maxTook)
	}
	r.hosts.Each(func(name string, h *hostCounts) {
		host := Host{Host: name, Lookups: map[Lookup]Count{}}
		for i, l := range Lookups {
			c := Count{Statuses: map[string]uint64{}, Bytes: h.bytes[i], Took: h.took[i]}
			for class, n := range h.requests[i] {
				if n > 0 {
					c.Requests += n
					c.Statuses[classes[class]] = n
				}
			}
			if c.Requests > 0 {
				host.Lookups[l] = c
			}
		}
		s.Hosts = append(s.Hosts, host)
	})
	return s
}

// A Page is a page with its hits.
type Page struct {
	Host, URI string
	Hits      uint64
}

// Hottest returns the n pages with the most hits in the last minutes, the hottest first.
func (r *Receiver) Hottest(n int) []Page {
	var pages []Page
	for _, c := range r.pages.Best(n, time.Now()) {
		host, uri, _ := strings.Cut(c.Name, " ")
		pages = append(pages, Page{host, uri, c.N})
	}
	return pages
}
