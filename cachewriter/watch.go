package cachewriter

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// errNoWatch is wrapped by the error of Watch if the server does not offer `watch`: a
// proxy, a memcached before 1.4.26, or one started with -W.
var errNoWatch = errors.New("the server does not offer `watch`")

// A Lookup is a key that a memcached was asked for.
type Lookup struct {
	Key   string // raw, as nginx evaluates $memcached_key
	Found bool

	// Write means that memcached looked up what a write was going to replace. Nobody
	// was served that value.
	Write bool
}

// A Watcher records the lookups that any client makes at a memcached (`watch`). All
// methods are safe for concurrent use. It has one goroutine, read, which Close ends
// and waits for.
type Watcher struct {
	addr string
	want func(key string) bool
	nc   net.Conn
	done chan struct{} // closed when read has ended

	mu      sync.Mutex // guards everything below
	kept    []seen
	lost    uint64 // lines that were left out, as far as known
	fences  map[string]chan struct{}
	readErr error
}

// A seen is a Lookup and the connection that made it.
type seen struct {
	Lookup
	conn string
}

// maxKept bounds the lookups that a Watcher records.
const maxKept = 1024

// Watch connects to the memcached at addr, an address in a form of Server.Addrs. When
// it returns, lookups are being recorded. It records those whose raw key want
// accepts. One goroutine at a time calls want, which must be quick. ctx bounds the
// connection attempt.
func Watch(ctx context.Context, addr string, want func(key string) bool) (*Watcher, error) {
	network, address := dialArgs(addr)
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("cachewriter: watch %s: %w", addr, err)
	}
	w := &Watcher{addr: addr, want: want, nc: nc, done: make(chan struct{}), fences: make(map[string]chan struct{})}
	lines := bufio.NewReaderSize(nc, maxWatchLine)
	if err := w.open(ctx, lines); err != nil {
		nc.Close()
		return nil, fmt.Errorf("cachewriter: watch %s: %w", addr, err)
	}
	go w.read(lines)
	return w, nil
}

// open sends the command. memcached logs from the OK on. Writes are logged, too,
// since memcached looks up what they replace.
func (w *Watcher) open(ctx context.Context, lines *bufio.Reader) error {
	stop := context.AfterFunc(ctx, func() { w.nc.SetDeadline(time.Unix(1, 0)) })
	_, err := io.WriteString(w.nc, "watch fetchers mutations\r\n")
	var line []byte
	if err == nil {
		line, err = lines.ReadSlice('\n')
	}
	switch said := bytes.TrimSpace(line); {
	case !stop():
		err = context.Cause(ctx)
	case err == nil && string(said) != "OK":
		err = fmt.Errorf("it says %q", said)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNoWatch, err)
	}
	return nil
}

// maxWatchLine is more than memcached's longest line: a key of 250 bytes, each
// written as three, and some numbers.
const maxWatchLine = 4096

func (w *Watcher) read(lines *bufio.Reader) {
	defer close(w.done)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			w.mu.Lock()
			w.readErr = err
			w.mu.Unlock()
			return
		}
		w.take(string(line))
	}
}

func (w *Watcher) take(line string) {
	e, ok := parseWatchLine(line)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case e.skipped > 0:
		w.lost += e.skipped
	case w.fences[e.key] != nil:
		close(w.fences[e.key])
		delete(w.fences, e.key)
	case !w.want(e.key):
	case e.store:
		w.markWrite(e)
	case len(w.kept) == maxKept:
		w.lost++
	default:
		w.kept = append(w.kept, seen{Lookup{Key: e.key, Found: e.found}, e.conn})
	}
}

// markWrite marks the lookup that memcached made for a write: the last one of its key
// on the same connection.
func (w *Watcher) markWrite(e watchEvent) {
	for i := len(w.kept) - 1; i >= 0; i-- {
		if s := &w.kept[i]; s.Key == e.key && s.conn == e.conn {
			s.Write = true
			return
		}
	}
}

// fencesNeeded is how many fences must be seen, one after the other, until all
// lookups from before the first one have been seen. memcached collects the notes of
// its threads in turns. In the turn with the first fence it may have collected
// another thread's notes before they were made; they come in the next turn, and the
// third fence comes in a later one.
const fencesNeeded = 3

// Settle returns when every lookup that had its response before the call has been
// seen. memcached logs up to a second late. Settle asks the server for keys of its
// own, under which there is nothing.
func (w *Watcher) Settle(ctx context.Context) error {
	d := NewDirect(w.addr, time.Second)
	defer d.Close()
	for range fencesNeeded {
		if err := w.fence(ctx, d); err != nil {
			return fmt.Errorf("cachewriter: watch %s: %w", w.addr, err)
		}
	}
	return nil
}

func (w *Watcher) fence(ctx context.Context, d *Direct) error {
	key := "uwg:w:" + rand.Text()
	seen := make(chan struct{})
	w.mu.Lock()
	w.fences[key] = seen
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.fences, key)
		w.mu.Unlock()
	}()
	if _, err := d.Get(ctx, key); err != nil {
		return err
	}
	select {
	case <-seen:
		return nil
	case <-w.done:
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.readErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Lookups returns the lookups recorded so far, in the order in which memcached logged
// them.
func (w *Watcher) Lookups() []Lookup {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Lookup, len(w.kept))
	for i, s := range w.kept {
		all[i] = s.Lookup
	}
	return all
}

// Lost is how many lookups, at least, are missing from Lookups: memcached skips some
// if it has too many to log, and a Watcher records 1024 at most.
func (w *Watcher) Lost() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close closes the connection and waits for read. What was recorded stays.
func (w *Watcher) Close() {
	w.nc.Close()
	<-w.done
}

// A watchEvent is a line of `watch`: a lookup, a write, or a number of lines that
// memcached skipped.
type watchEvent struct {
	key     string // raw
	conn    string // who asked; "" before memcached 1.5.20
	found   bool
	store   bool
	skipped uint64
}

// parseWatchLine parses one line, such as
//
//	ts=1795502884.403992 gid=2 type=item_get key=%2Fa%252520b status=found clsid=1 cfd=24 size=2
//	skipped=12
//
// The key is the wire key, encoded once more (doc/protocol.txt, "Watchers"). It is
// not ok for other and for malformed lines.
func parseWatchLine(line string) (e watchEvent, ok bool) {
	if len(line) > maxWatchLine {
		return e, false
	}
	kind, key, status := "", "", ""
	for word := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "skipped":
			n, err := strconv.ParseUint(value, 10, 64)
			return watchEvent{skipped: n}, err == nil && n > 0
		case "type":
			kind = value
		case "key":
			key = value
		case "status":
			status = value
		case "cfd":
			e.conn = value
		}
	}
	wire, err := url.PathUnescape(key)
	if err == nil {
		e.key, err = url.PathUnescape(wire)
	}
	e.found, e.store = status == "found", kind == "item_store"
	return e, err == nil && wire != "" && (e.store || kind == "item_get")
}
