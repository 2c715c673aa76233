package cachewriter

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fake is a memcached on a real socket, as strict as the real one about keys and
// sizes. A test can delay, replace or leave out its responses.
type fake struct {
	t    *testing.T
	addr string // that the Writer uses

	mu     sync.Mutex // guards everything below
	ln     net.Listener
	conns  map[net.Conn]struct{}
	items  map[string]fakeItem
	script func(command string) act
	cas    uint64   // of the last item stored
	heard  []string // command lines, in the order of their coming
	ended  chan struct{}
	wg     sync.WaitGroup
}

type fakeItem struct {
	body    []byte
	flags   uint32
	exptime int64
	meta    fakeMeta
}

// An act is what the fake does with one command; zero: what memcached does.
type act struct {
	hold   <-chan struct{} // first wait for this, or for the end of the fake
	say    string          // then send this instead of the response
	hangUp bool            // and close the connection
}

const fakeItemMax = 1<<20 - 512

func startFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, addr: unixPrefix + filepath.Join(t.TempDir(), "s"), items: make(map[string]fakeItem)}
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *fake) start() {
	f.t.Helper()
	network, address := dialArgs(f.addr)
	ln, err := net.Listen(network, address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ln, f.conns, f.ended = ln, make(map[net.Conn]struct{}), make(chan struct{})
	f.wg.Go(func() { f.accept(ln, f.ended) })
}

// stop closes the socket and all connections, like the end of a process.
func (f *fake) stop() {
	f.mu.Lock()
	if f.ln == nil {
		f.mu.Unlock()
		return
	}
	close(f.ended)
	f.ln.Close()
	f.ln = nil
	f.items = make(map[string]fakeItem)
	f.hangUpLocked()
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *fake) restart() { f.stop(); f.start() }

// hangUp closes the connections and keeps listening.
func (f *fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hangUpLocked()
}

func (f *fake) hangUpLocked() {
	for nc := range f.conns {
		nc.Close()
	}
}

// on sets the script for the commands from now on; nil plays memcached.
func (f *fake) on(script func(command string) act) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = script
}

func (f *fake) accept(ln net.Listener, ended chan struct{}) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		if f.ln != ln { // stopped, and hangUp did not see this one
			nc.Close()
			f.mu.Unlock()
			return
		}
		f.conns[nc] = struct{}{}
		f.wg.Go(func() { f.serve(nc, ended) })
		f.mu.Unlock()
	}
}

func (f *fake) serve(nc net.Conn, ended chan struct{}) {
	defer func() {
		nc.Close()
		f.mu.Lock()
		delete(f.conns, nc)
		f.mu.Unlock()
	}()
	br := bufio.NewReader(nc)
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return
		}
		command := strings.TrimRight(line, "\r\n")
		body, err := readBody(br, command)
		if err != nil {
			return
		}
		a := f.hear(command)
		if a.hold != nil {
			select {
			case <-a.hold:
			case <-ended:
				return
			}
		}
		response := a.say
		if response == "" && !a.hangUp {
			response = f.response(command, body)
		}
		if _, err := io.WriteString(nc, response); err != nil || a.hangUp {
			return
		}
	}
}

// readBody reads the data of a set, but not after a key that memcached refuses:
// then the data are the next commands.
func readBody(br *bufio.Reader, command string) ([]byte, error) {
	words := strings.Fields(command)
	at := 4
	if len(words) > 2 && words[0] == "ms" {
		at = 2
	} else if len(words) < 5 || !slices.Contains([]string{"set", "add", "cas"}, words[0]) {
		return nil, nil
	}
	if len(words[1]) > maxKeyLen {
		return nil, nil
	}
	n, err := strconv.Atoi(words[at])
	if err != nil {
		return nil, err
	}
	body := make([]byte, n+2)
	_, err = io.ReadFull(br, body)
	return bytes.TrimSuffix(body, []byte("\r\n")), err
}

func (f *fake) hear(command string) act {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, command)
	if f.script == nil {
		return act{}
	}
	return f.script(command)
}

func (f *fake) response(command string, body []byte) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if response, ok := f.metaResponse(command, body); ok {
		return response
	}
	words := append(strings.Fields(command), "", "")
	key := words[1]
	it, found := f.items[key]
	switch {
	case body == nil && (words[0] == "set" || words[0] == "add" || words[0] == "cas"):
		return "CLIENT_ERROR bad command line format\r\n"
	case words[0] == "set" && len(body) > fakeItemMax:
		delete(f.items, key)
		return "SERVER_ERROR object too large for cache\r\n"
	case words[0] == "add" && found:
		return "NOT_STORED\r\n"
	case words[0] == "cas" && !found:
		return "NOT_FOUND\r\n"
	case words[0] == "cas" && words[5] != strconv.FormatUint(it.meta.cas, 10):
		return "EXISTS\r\n"
	case words[0] == "set", words[0] == "add", words[0] == "cas":
		flags, _ := strconv.ParseUint(words[2], 10, 32)
		exptime, _ := strconv.ParseInt(words[3], 10, 64)
		f.items[key] = fakeItem{body: body, flags: uint32(flags), exptime: exptime, meta: f.newMeta()}
		return "STORED\r\n"
	case words[0] == "delete" && !found:
		return "NOT_FOUND\r\n"
	case words[0] == "delete":
		delete(f.items, key)
		return "DELETED\r\n"
	case words[0] == "get":
		return f.values(strings.Fields(command)[1:])
	case command == "stats":
		return fmt.Sprintf("STAT version 1.6.0\r\nSTAT curr_items %d\r\nSTAT bytes 1\r\nSTAT limit_maxbytes 2\r\nSTAT curr_connections 3\r\nEND\r\n", len(f.items))
	case command == "lru_crawler metadump hash":
		return f.dump()
	case words[0] == "gets" && !found:
		return "END\r\n"
	case words[0] == "gets":
		return fmt.Sprintf("VALUE %s %d %d %d\r\n%s\r\nEND\r\n", key, it.flags, len(it.body), it.meta.cas, it.body)
	}
	return "ERROR\r\n"
}

// dump is the response to metadump.
func (f *fake) dump() string {
	var b strings.Builder
	for key, it := range f.items {
		b.WriteString("key=")
		for i := range len(key) {
			if isUnreserved(key[i]) {
				b.WriteByte(key[i])
			} else {
				fmt.Fprintf(&b, "%%%02X", key[i])
			}
		}
		fetched := "no"
		if it.meta.hit {
			fetched = "yes"
		}
		expires := it.exptime
		if 0 < expires && expires <= relativeMax {
			expires += time.Now().Unix()
		}
		fmt.Fprintf(&b, " exp=%d la=%d cas=%d fetch=%s cls=1 size=%d\n", expires, time.Now().Unix(), it.meta.cas, fetched, len(it.body))
	}
	return b.String() + "END\r\n"
}

// values is the response to a get.
func (f *fake) values(keys []string) string {
	var b strings.Builder
	for _, key := range keys {
		it, found := f.items[key]
		if !found {
			continue
		}
		it.meta.hit = true
		f.items[key] = it
		fmt.Fprintf(&b, "VALUE %s %d %d\r\n%s\r\n", key, it.flags, len(it.body), it.body)
	}
	return b.String() + "END\r\n"
}

// commands returns the received commands that start with prefix.
func (f *fake) commands(prefix string) (heard []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.heard {
		if strings.HasPrefix(c, prefix) {
			heard = append(heard, c)
		}
	}
	return heard
}

// deletes returns the received deletes, without those of records.
func (f *fake) deletes() []string {
	return slices.DeleteFunc(f.commands("delete"), func(command string) bool { return strings.Contains(command, Sibling(KindRecord, "")[:6]) })
}

// value returns what is stored under a wire key.
func (f *fake) value(key string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	it, ok := f.items[key]
	return string(it.body), ok
}

// onCommand is a script for commands that start with prefix.
func onCommand(prefix string, a act) func(string) act {
	return func(command string) act {
		if strings.HasPrefix(command, prefix) {
			return a
		}
		return act{}
	}
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
