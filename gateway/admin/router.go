package admin

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway"
	"uwgate/gateway/backend"
	"uwgate/gateway/socket"
	"uwgate/gateway/subscription"
)

// statsTimeout bounds the sending of the document to one client.
const statsTimeout = 10 * time.Second

// maxStatsClients is how many clients are served at once. Others wait.
const maxStatsClients = 64

// ServeStats sends each client of ln the JSON document that FastRouter's stats server sends,
// and closes the connection. It returns nil when ctx is done and no connection is left, or the
// listener's error. Everybody who can connect gets the document.
func (a *Admin) ServeStats(ctx context.Context, ln net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	places := make(chan struct{}, maxStatsClients)
	accept := socket.Acceptor{Log: a.log(), Serve: func(nc net.Conn) {
		places <- struct{}{}
		conns.Go(func() {
			defer func() { <-places }()
			a.sendStats(ctx, nc)
		})
	}}
	return accept.Run(ctx, ln)
}

func (a *Admin) sendStats(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	text, err := json.MarshalIndent(a.routerStats(), "", "\t")
	if err != nil {
		a.log().Error("the statistics could not be sent; please report it", zap.Error(err))
		return
	}
	nc.SetDeadline(time.Now().Add(statsTimeout))
	nc.Write(text)
	// If the client has sent something, as an HTTP client does, closing now would reset the
	// connection, and the client would lose the end of the text.
	socket.CloseWrite(nc)
	io.Copy(io.Discard, nc)
}

// routerStats is the document of FastRouter's stats server. It also has the workers of a uWSGI
// instance, as far as uwsgitop shows them. As FastRouter does, it omits lists that are empty.
type routerStats struct {
	Version        string          `json:"version"`
	PID            int             `json:"pid"`
	UID            int             `json:"uid"`
	GID            int             `json:"gid"`
	Cwd            string          `json:"cwd"`
	ActiveSessions int64           `json:"active_sessions"`
	FastRouter     []string        `json:"fastrouter"`
	StaticNodes    []staticNode    `json:"static_nodes,omitempty"`
	Subscriptions  []subscribedKey `json:"subscriptions,omitempty"`
	Cheap          int             `json:"cheap"`
	Workers        []worker        `json:"workers"`
}

type staticNode struct {
	Name  string `json:"name"`
	Hits  uint64 `json:"hits"`
	Grace int64  `json:"grace"` // when it was ejected, in seconds since 1970; 0: it is up
}

type subscribedKey struct {
	Key        string           `json:"key"`
	Hash       uint32           `json:"hash"`
	Hits       uint64           `json:"hits"`
	SNIEnabled int              `json:"sni_enabled"`
	Nodes      []subscribedNode `json:"nodes"`
}

type subscribedNode struct {
	Name         string `json:"name"`
	Modifier1    uint8  `json:"modifier1"`
	Modifier2    uint8  `json:"modifier2"`
	LastCheck    int64  `json:"last_check"`
	PID          int    `json:"pid"`
	UID          int    `json:"uid"`
	GID          int    `json:"gid"`
	Requests     uint64 `json:"requests"`
	LastRequests uint64 `json:"last_requests"`
	TX           uint64 `json:"tx"` // from the node
	RX           uint64 `json:"rx"` // to it
	Cores        int    `json:"cores"`
	Load         int    `json:"load"`
	Weight       int    `json:"weight"`
	WRR          int    `json:"wrr"`
	Ref          int    `json:"ref"`
	FailCnt      uint64 `json:"failcnt"`
	DeathMark    int    `json:"death_mark"`
}

// A worker is a process of a uWSGI instance. The gateway appears as one worker. Times are in
// microseconds.
type worker struct {
	ID            int    `json:"id"`
	PID           int    `json:"pid"`
	Accepting     int    `json:"accepting"`
	Requests      uint64 `json:"requests"`
	DeltaRequests uint64 `json:"delta_requests"`
	Exceptions    uint64 `json:"exceptions"`
	HarakiriCount int    `json:"harakiri_count"`
	Signals       int    `json:"signals"`
	SignalQueue   int    `json:"signal_queue"`
	Status        string `json:"status"`
	RSS           uint64 `json:"rss"`
	VSZ           uint64 `json:"vsz"`
	RunningTime   uint64 `json:"running_time"`
	LastSpawn     int64  `json:"last_spawn"`
	RespawnCount  int    `json:"respawn_count"`
	TX            uint64 `json:"tx"`
	AvgRT         uint64 `json:"avg_rt"`
}

func (a *Admin) routerStats() *routerStats {
	g := a.Gateway
	all := g.Stats()
	s := &routerStats{
		Version: a.Version, PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid(),
		ActiveSessions: all.Requests.InFlight,
		FastRouter:     all.Listening.Addresses,
		Workers:        []worker{asWorker(all)},
	}
	s.Cwd, _ = os.Getwd()
	subscribed := make(map[*backend.Pool]bool)
	if g.Subscriptions != nil {
		for _, sv := range g.Subscriptions.Services() {
			subscribed[sv.Pool] = true
			s.Subscriptions = append(s.Subscriptions, newSubscribedKey(sv))
		}
	}
	for _, p := range g.Backends.All() {
		if subscribed[p] {
			continue
		}
		for _, n := range p.Stats() {
			s.StaticNodes = append(s.StaticNodes, newStaticNode(n))
		}
	}
	return s
}

func newStaticNode(n backend.NodeStats) staticNode {
	return staticNode{Name: n.Name, Hits: n.Requests, Grace: seconds(n.EjectedAt)}
}

func newSubscribedKey(sv subscription.Service) subscribedKey {
	s := subscribedKey{Key: sv.Key, Hash: slotHash(sv.Key), Nodes: []subscribedNode{}}
	for _, n := range sv.Pool.Stats() {
		s.Hits += n.Requests
		s.Nodes = append(s.Nodes, subscribedNode{
			Name: n.Name, Modifier1: n.Modifier1, Modifier2: n.Modifier2, LastCheck: seconds(sv.Seen[n.Name]),
			Requests: n.Requests, TX: n.Received, RX: n.Sent,
			Cores: n.Cores, Load: n.Load, Weight: n.Weight,
			Ref: n.InFlight, FailCnt: n.DialErrors,
		})
	}
	return s
}

// seconds returns t in seconds since 1970, as uWSGI does; 0 if there is none.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// slotHash returns the hash that FastRouter shows for a key, uWSGI's djb33x_hash.
func slotHash(key string) uint32 {
	h := uint32(5381)
	for i := range len(key) {
		h = (h<<5 + h) ^ uint32(key[i])
	}
	return h % 0xffff
}

// asWorker returns the gateway as a worker that started when the first listener did.
func asWorker(s gateway.Stats) worker {
	r := s.Requests
	w := worker{
		ID: 1, PID: os.Getpid(), Status: "idle", TX: r.Bytes, LastSpawn: seconds(s.Listening.Since), RespawnCount: 1,
		Requests: r.Took.Count, DeltaRequests: r.Took.Count, Exceptions: r.Failures["backend"],
		RunningTime: uint64(r.Took.Sum.Microseconds()),
	}
	w.RSS, w.VSZ = memoryUse()
	if s.Listening.Listeners > 0 {
		w.Accepting = 1
	}
	if r.InFlight > 0 {
		w.Status = "busy"
	}
	if w.Requests > 0 {
		w.AvgRT = w.RunningTime / w.Requests
	}
	return w
}

// memoryUse returns the process' resident and virtual memory in bytes, or zeros if the system
// does not say.
func memoryUse() (rss, vsz uint64) {
	b, _ := os.ReadFile("/proc/self/statm")
	pages := strings.Fields(string(b))
	if len(pages) < 2 {
		return 0, 0
	}
	vsz, _ = strconv.ParseUint(pages[0], 10, 64)
	rss, _ = strconv.ParseUint(pages[1], 10, 64)
	size := uint64(os.Getpagesize())
	return rss * size, vsz * size
}
