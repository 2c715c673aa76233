package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/settings"
)

// A fakeCache is a memcached on a real socket that takes what a live proof sends, and
// nothing else.
type fakeCache struct {
	addr string

	mu       sync.Mutex // guards what follows
	items    map[string]fakeItem
	heard    []string
	watchers map[net.Conn]bool

	say     func(command string) string // "": what memcached says
	skipped int                         // lookups that a watch does not tell
	hangsUp string                      // in the place of the answer to commands that begin with this
}

type fakeItem struct {
	value string
	flags string
}

func startFakeCache(t *testing.T) *fakeCache {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeCache{addr: ln.Addr().String(), items: map[string]fakeItem{}, watchers: map[net.Conn]bool{}}
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer nc.Close()
				defer context.AfterFunc(ctx, func() { nc.Close() })()
				f.serve(nc)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		end()
		running.Wait()
	})
	return f
}

func (f *fakeCache) serve(nc net.Conn) {
	in := bufio.NewReader(nc)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		command := strings.TrimSpace(line)
		words := append(strings.Fields(command), "", "")
		var value []byte
		if words[0] == "add" {
			size, _ := strconv.Atoi(words[4])
			value = make([]byte, size+2)
			if _, err := io.ReadFull(in, value); err != nil {
				return
			}
		}
		answer := f.answer(nc, command, words, strings.TrimSuffix(string(value), "\r\n"))
		if words[0] == f.hangsUp {
			return
		}
		io.WriteString(nc, answer)
	}
}

func (f *fakeCache) answer(nc net.Conn, command string, words []string, value string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, command)
	if f.say != nil {
		if said := f.say(command); said != "" {
			return said
		}
	}
	key := words[1]
	item, found := f.items[key]
	switch words[0] {
	case "watch":
		f.watchers[nc] = true
		return fmt.Sprintf("OK\r\nskipped=%d\r\n", f.skipped)
	case "get":
		f.tell("item_get", key, found)
		if !found {
			return "END\r\n"
		}
		return fmt.Sprintf("VALUE %s %s %d\r\n%s\r\nEND\r\n", key, item.flags, len(item.value), item.value)
	case "add":
		f.tell("item_get", key, found)
		if found {
			return "NOT_STORED\r\n"
		}
		f.tell("item_store", key, false)
		f.items[key] = fakeItem{value, words[2]}
		return "STORED\r\n"
	case "delete":
		delete(f.items, key)
		return "DELETED\r\n"
	}
	return "ERROR\r\n"
}

func (f *fakeCache) tell(kind, key string, found bool) {
	status := "not_found"
	if found {
		status = "found"
	}
	for nc := range f.watchers {
		fmt.Fprintf(nc, "ts=1.2 gid=3 type=%s key=%s status=%s clsid=1 cfd=4 size=5\n", kind, url.QueryEscape(key), status)
	}
}

// set is a worker's.
func (f *fakeCache) set(key, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, found := f.items[key]
	f.tell("item_get", key, found)
	f.tell("item_store", key, false)
	f.items[key] = fakeItem{value, "0"}
}

// holds is what lies there.
func (f *fakeCache) holds() map[string]fakeItem {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.items)
}

// commands are those that were heard and begin with a word.
func (f *fakeCache) commands(word string) (heard []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, command := range f.heard {
		if strings.HasPrefix(command, word+" ") {
			heard = append(heard, command)
		}
	}
	return heard
}

// says replaces an answer to commands that begin with a word.
func (f *fakeCache) says(word, answer string) {
	f.say = func(command string) string {
		if strings.HasPrefix(command, word+" ") {
			return answer
		}
		return ""
	}
}

// A fakeSite is an nginx that looks pages up in memcacheds. Its fields may be
// changed before it is asked.
type fakeSite struct {
	t      *testing.T
	server *httptest.Server
	page   string // one of its URLs, without the host
	caches []*fakeCache

	method   cachewriter.Method // of choosing among asks
	contrary bool               // takes another than the method's choice
	asks     []string           // memcached's addresses
	weight   int                // of the first, as uwgate knows it

	key    func(*http.Request) string
	found  func(http.ResponseWriter, *http.Request, *cachewriter.Item)
	missed http.HandlerFunc
	before http.HandlerFunc // of every request; nil: nothing

	asked map[string]bool // targets
}

// startSite starts one and its memcacheds; all of it is as uwgate expects it to be.
func startSite(t *testing.T, caches int) *fakeSite {
	t.Helper()
	s := &fakeSite{t: t, page: "/", asked: map[string]bool{}, method: cachewriter.Consistent, key: siteKey, found: sendBody, missed: answerAs(404)}
	for range caches {
		f := startFakeCache(t)
		s.caches, s.asks = append(s.caches, f), append(s.asks, f.addr)
	}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

func siteKey(r *http.Request) string {
	host, _, _ := strings.Cut(r.Host, ":")
	return "http://" + strings.ToLower(host) + r.RequestURI
}

// sendBody is memcached_pass with memcached_gzip_flag 2 and gunzip on.
func sendBody(w http.ResponseWriter, r *http.Request, item *cachewriter.Item) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	body := item.Value
	switch zipped := item.Flags&2 != 0; {
	case zipped && r.Header.Get("Accept-Encoding") == "gzip":
		w.Header().Set("Content-Encoding", "gzip")
	case zipped:
		body = inflate(body)
	}
	w.Write(body)
}

// sendHead is srcache_fetch.
func sendHead(w http.ResponseWriter, r *http.Request, item *cachewriter.Item) {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(item.Value)), r)
	if err != nil {
		answerAs(404)(w, r)
		return
	}
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// answerAs is an application behind a gateway that answers every request alike.
func answerAs(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Status", fmt.Sprintf("uwgate; fwd=bypass; fwd-status=%d; detail=request-no-store", status))
		w.WriteHeader(status)
	}
}

// answerItself is an nginx that does not come to a lookup.
func answerItself(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func (s *fakeSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked[r.RequestURI] = true
	if s.before != nil {
		s.before(w, r)
	}
	key := s.key(r)
	if key == "" {
		s.missed(w, r)
		return
	}
	d := cachewriter.NewDirect(s.pick(key), time.Second)
	defer d.Close()
	item, err := d.Get(r.Context(), key)
	switch {
	case r.Context().Err() != nil: // nobody waits
	case err != nil:
		s.t.Errorf("nginx: %v", err)
	case item == nil:
		s.missed(w, r)
	default:
		s.found(w, r, item)
	}
}

func (s *fakeSite) pick(key string) string {
	var servers []cachewriter.Server
	for _, addr := range s.asks {
		servers = append(servers, cachewriter.Server{Name: addr})
	}
	ring, err := cachewriter.NewRing(s.method, servers...)
	if err != nil {
		s.t.Fatal(err)
	}
	picked := ring.Pick(key)[0]
	if s.contrary {
		return s.asks[(slices.Index(s.asks, picked)+1)%len(s.asks)]
	}
	return picked
}

// check is `uwgate check --via` on the site with its memcacheds and the hash
// consistent, and with args; prepared, if it is not nil, may change the proof.
func (s *fakeSite) check(ctx context.Context, prepared func(*liveProof), args ...string) (report *liveReport, err error) {
	s.t.Helper()
	line := []string{"--via", s.server.URL + s.page, "--hash", "consistent"}
	for i, f := range s.caches {
		server := f.addr
		if i == 0 && s.weight > 0 {
			server += fmt.Sprintf(" weight=%d", s.weight)
		}
		line = append(line, "--memcached", server)
	}
	read, err := readSettings(settings.ForCheck(), append(line, args...)...)
	if err != nil {
		return nil, err
	}
	p, err := newLiveProof(ctx, read, nginxKnown{})
	if err != nil {
		return nil, err
	}
	if prepared != nil {
		prepared(p)
	}
	return p.run(ctx)
}
