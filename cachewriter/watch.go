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

// ErrNoWatch is wrapped by the error of Watch where there is no `watch` to be
// had: a proxy, a memcached before 1.4.26, or one started with -W.
var errNoWatch = errors.New("no `watch` here")

// A Lookup is what a memcached was asked for.
type Lookup struct {
	Key   string // raw, as nginx evaluates $memcached_key
	Found bool

	// Write is set where memcached looked up what a write was to replace.
	// Nobody was served that.
	Write bool
}

// A Watcher keeps the lookups that a memcached is asked for by anybody
// (`watch`), as far as they are wanted. All methods are safe for concurrent use.
// Close ends its one goroutine, read.
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

// seen is a Lookup and the connection that asked.
type seen struct {
	Lookup
	conn string
}

// maxKept bounds the lookups that a Watcher keeps.
const maxKept = 1024

// Watch asks the memcached at addr, an address as Ring.Addrs has it, to tell its
// lookups, and returns when it does so: one made from then on is seen. Of all keys,
// raw ones, those are kept for which want returns true; it is called by one
// goroutine at a time, and must be quick. ctx bounds the opening.
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

// open sends the command. The logging has begun when OK comes. Writes are told,
// too, since memcached looks up what they replace.
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
// written with three, and some numbers.
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

// markWrite finds the lookup that memcached made for a write: the one right
// before it, on the same connection.
func (w *Watcher) markWrite(e watchEvent) {
	for i := len(w.kept) - 1; i >= 0; i-- {
		if s := &w.kept[i]; s.Key == e.key && s.conn == e.conn {
			s.Write = true
			return
		}
	}
}

// fencesNeeded is how many lookups must be seen, one after the other, until all
// that came before the first have been seen. memcached collects what its threads
// have noted in turns: in the turn that tells of the first, another thread's notes
// may have been collected before they were made; they come in the turn after, and
// the third fence in a still later one.
const fencesNeeded = 3

// Settle returns when every lookup has been seen whose answer came before Settle
// was called. memcached tells them up to a second late. It asks the server for
// keys of its own, under which nothing lies.
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
	told := make(chan struct{})
	w.mu.Lock()
	w.fences[key] = told
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
	case <-told:
		return nil
	case <-w.done:
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.readErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Lookups are those kept so far, in the order in which they were told.
func (w *Watcher) Lookups() []Lookup {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Lookup, len(w.kept))
	for i, s := range w.kept {
		all[i] = s.Lookup
	}
	return all
}

// Lost is how many lookups, or more, are missing from Lookups: memcached leaves
// some out if it has more to tell than it can, and 1024 are kept at most.
func (w *Watcher) Lost() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close ends the watching. What was seen stays.
func (w *Watcher) Close() {
	w.nc.Close()
	<-w.done
}

// A watchEvent is a line of `watch` that matters here: a lookup, a write, or a
// number of lines that memcached left out.
type watchEvent struct {
	key     string // raw
	conn    string // who asked; "" before memcached 1.5.20
	found   bool
	store   bool
	skipped uint64
}

// parseWatchLine reads one line, as in
//
//	ts=1795502884.403992 gid=2 type=item_get key=%2Fa%252520b status=found clsid=1 cfd=24 size=2
//	skipped=12
//
// whose key is the wire key, encoded once more (doc/protocol.txt, "Watchers").
// Other lines, and those that make no sense, are not ok.
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
