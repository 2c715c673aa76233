package cachewriter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Info is what a memcached server says of itself. Its counters count since its start, the
// requests of all its clients: nginx's lookups, and those of the gateways.
type Info struct {
	Addr    string
	Err     error // why the server said nothing; the rest is zero then
	Version string
	Uptime  time.Duration

	Hits, Misses uint64 // of gets
	Sets         uint64
	Evictions    uint64 // entries that were removed before they expired, for want of memory

	Items, Bytes, Limit uint64 // gauges; Limit is the most bytes (-m)
	Connections         uint64 // gauge
	MaxConnections      uint64 // -c
}

// infoPatience bounds what a server takes to say that.
const infoPatience = 2 * time.Second

// maxInfoLines bounds what is read of a server.
const maxInfoLines = 1000

// Info asks all servers what they hold, at the same time, each over a connection of its own,
// so that no page waits for it. It returns within 2 seconds, in the order of the ring.
func (w *Writer) Info(ctx context.Context) []Info {
	ctx, cancel := context.WithTimeout(ctx, infoPatience)
	defer cancel()
	addrs := w.servers().ring.addrs
	all := make([]Info, len(addrs))
	var asked sync.WaitGroup
	for i, addr := range addrs {
		asked.Go(func() {
			all[i], all[i].Err = askInfo(ctx, addr, w.dialTimeout())
			all[i].Addr = addr
		})
	}
	asked.Wait()
	return all
}

func askInfo(ctx context.Context, addr string, dialTimeout time.Duration) (Info, error) {
	network, address := dialArgs(addr)
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return Info{}, err
	}
	defer nc.Close()
	if by, ok := ctx.Deadline(); ok {
		nc.SetDeadline(by)
	}
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if _, err := io.WriteString(nc, "stats\r\n"); err != nil {
		return Info{}, err
	}
	return readInfo(bufio.NewReader(nc))
}

// readInfo reads lines such as STAT curr_items 12, up to END. A proxy has others, or none.
func readInfo(r *bufio.Reader) (Info, error) {
	var in Info
	for range maxInfoLines {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return Info{}, err
		}
		words := strings.Fields(string(line))
		switch {
		case len(words) == 1 && words[0] == "END" && in.Version == "":
			return Info{}, errors.New("it says nothing of itself, as a proxy does")
		case len(words) == 1 && words[0] == "END":
			return in, nil
		case len(words) == 3 && words[0] == "STAT":
			in.take(words[1], words[2])
		case len(words) != 2 || words[0] != "STAT": // a value may be empty
			return Info{}, fmt.Errorf("it says %.100q", strings.TrimSpace(string(line)))
		}
	}
	return Info{}, errors.New("it does not stop to speak of itself")
}

func (in *Info) take(name, value string) {
	n, _ := strconv.ParseUint(value, 10, 64) // 0 for what is no number
	switch name {
	case "version":
		in.Version = value
	case "uptime":
		in.Uptime = time.Duration(min(n, 1<<33)) * time.Second
	case "get_hits":
		in.Hits = n
	case "get_misses":
		in.Misses = n
	case "cmd_set":
		in.Sets = n
	case "evictions":
		in.Evictions = n
	case "curr_items":
		in.Items = n
	case "bytes":
		in.Bytes = n
	case "limit_maxbytes":
		in.Limit = n
	case "curr_connections":
		in.Connections = n
	case "max_connections":
		in.MaxConnections = n
	}
}
