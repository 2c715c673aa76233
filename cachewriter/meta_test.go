package cachewriter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func newMeta(t *testing.T, addr string) *metaClient {
	t.Helper()
	m := &metaClient{addr: addr, timeout: 10 * time.Second, dialTimeout: 10 * time.Second}
	t.Cleanup(m.close)
	return m
}

func mustMetaSet(t *testing.T, m *metaClient, key string, s metaSet) (cas uint64) {
	t.Helper()
	s.wantCAS = true
	if s.expires.IsZero() {
		s.expires = time.Now().Add(time.Minute)
	}
	cas, err := m.set(t.Context(), key, s)
	if err != nil {
		t.Fatalf("Set(%q): %v", key, err)
	}
	return cas
}

func mustMetaGet(t *testing.T, m *metaClient, key string, how metaGet) metaItem {
	t.Helper()
	item, err := m.get(t.Context(), key, how)
	if err != nil || item == nil {
		t.Fatalf("Get(%q): %+v, %v", key, item, err)
	}
	return *item
}

func testMetaGet(t *testing.T, s memcached) {
	m := newMeta(t, s.address())
	if item, err := m.get(t.Context(), "k", metaGet{value: true}); item != nil || err != nil {
		t.Errorf("before it is stored: %+v, %v; want nothing", item, err)
	}
	value := "a\r\nEN\r\nb\x00"
	ask(t, s, fmt.Sprintf("ms k %d F%d T60\r\n%s", len(value), uint32(1<<32-1), value), "HD")
	cas := mustMetaGet(t, m, "k", metaGet{unseen: true}).cas
	look := metaGet{unseen: true}
	for range 2 {
		got := mustMetaGet(t, m, "k", metaGet{value: true, unseen: true})
		if string(got.value) != value || got.flags != 1<<32-1 || got.cas != cas || got.hit || got.stale || got.won {
			t.Errorf("unseen: %+v", got)
		}
		if got.ttl < 55*time.Second || got.ttl > time.Minute || got.lastAccess > 5*time.Second {
			t.Errorf("expires in %v, last access %v ago", got.ttl, got.lastAccess)
		}
	}
	if got := mustMetaGet(t, m, "k", look); got.value != nil || got.size != len(value) || got.hit {
		t.Errorf("without the value, after unseen ones: %+v", got)
	}
	mustMetaGet(t, m, "k", metaGet{})
	if !mustMetaGet(t, m, "k", look).hit {
		t.Error("a Get that is not Unseen is no hit")
	}
	mustMetaSet(t, m, "k", metaSet{value: []byte("new")})
	if mustMetaGet(t, m, "k", look).hit {
		t.Error("a new value counts the hits of the old")
	}
	get(t, s, "k")
	if !mustMetaGet(t, m, "k", look).hit {
		t.Error("nginx's get is no hit")
	}
}

func testMetaSet(t *testing.T, s memcached) {
	m := newMeta(t, s.address())
	soon := time.Now().Add(time.Minute)
	large := bytes.Repeat([]byte("flush_all\r\n"), 1<<20/11+1)
	mustMetaSet(t, m, "there", metaSet{value: []byte("old")})
	cas := mustMetaGet(t, m, "there", metaGet{}).cas
	tests := []struct {
		name, key string
		set       metaSet
		want      error
		value     string // then
	}{
		{"add to nothing", "added", metaSet{add: true, value: []byte("x"), expires: soon}, nil, "x"},
		{"add to something", "added", metaSet{add: true, value: []byte("y"), expires: soon}, errNotStored, "x"},
		{"another CAS", "there", metaSet{cas: cas + 100, value: []byte("x"), expires: soon}, errChanged, "old"},
		{"CAS of nothing", "nothing", metaSet{cas: cas, value: []byte("x"), expires: soon}, errNotFound, ""},
		{"its CAS", "there", metaSet{cas: cas, value: []byte("new"), expires: soon}, nil, "new"},
		{"empty value", "empty", metaSet{expires: soon}, nil, ""},
		{"40 days", "long", metaSet{value: []byte("x"), expires: time.Now().Add(40 * 24 * time.Hour)}, nil, "x"},
		{"less than a second", "short", metaSet{value: []byte("x"), expires: time.Now().Add(time.Second)}, nil, "x"},
		{"no end", "there", metaSet{value: []byte("x")}, ErrExpired, "new"},
		{"too large", "there", metaSet{value: large, expires: soon}, ErrRefused, ""},
		{"after that", "after", metaSet{value: []byte("x"), expires: soon}, nil, "x"},
		{"empty key", "", metaSet{value: []byte("x"), expires: soon}, ErrEmptyKey, ""},
	}
	for _, tt := range tests {
		_, err := m.set(t.Context(), tt.key, tt.set)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if tt.key == "" || tt.key == "short" {
			continue
		}
		var value string
		if item, err := m.get(t.Context(), tt.key, metaGet{value: true}); err != nil {
			t.Errorf("%s: Get: %v", tt.name, err)
		} else if item != nil {
			value = string(item.value)
			if item.ttl == Forever {
				t.Errorf("%s: stored for ever", tt.name)
			}
		}
		if value != tt.value {
			t.Errorf("%s: %q holds %q, want %q", tt.name, tt.key, value, tt.value)
		}
	}
	if got := mustMetaGet(t, m, "long", metaGet{}).ttl; got < 39*24*time.Hour {
		t.Errorf("40 days are %v", got)
	}
}

// A lock, as several gateways use it.
func testMetaLock(t *testing.T, s memcached) {
	m := newMeta(t, s.address())
	mine := mustMetaSet(t, m, "lock", metaSet{add: true, value: []byte("me")})
	if _, err := m.set(t.Context(), "lock", metaSet{add: true, value: []byte("you"), expires: time.Now().Add(time.Minute)}); err != errNotStored {
		t.Errorf("the second to lock: %v, want %v", err, errNotStored)
	}
	if err := m.delete(t.Context(), "lock", metaDelete{cas: mine + 1}); err != errChanged {
		t.Errorf("another unlocks: %v, want %v", err, errChanged)
	}
	if err := m.delete(t.Context(), "lock", metaDelete{cas: mine}); err != nil {
		t.Errorf("its owner unlocks: %v", err)
	}
	if err := m.delete(t.Context(), "lock", metaDelete{cas: mine}); err != errNotFound {
		t.Errorf("unlocked twice: %v, want %v", err, errNotFound)
	}
}

// nginx is served a stale page, and one caller wins the right to refresh it.
func testMetaStale(t *testing.T, s memcached) {
	m := newMeta(t, s.address())
	mustMetaSet(t, m, "k", metaSet{value: []byte("page")})
	if err := m.delete(t.Context(), "k", metaDelete{stale: true}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "k"); !strings.Contains(got, "page") {
		t.Errorf("nginx gets %q", got)
	}
	first, second := mustMetaGet(t, m, "k", metaGet{}), mustMetaGet(t, m, "k", metaGet{})
	if !first.stale || !first.won || !second.stale || second.won {
		t.Errorf("first %+v, second %+v", first, second)
	}
	mustMetaSet(t, m, "k", metaSet{value: []byte("new")})
	if got := mustMetaGet(t, m, "k", metaGet{}); got.stale || got.won {
		t.Errorf("renewed: %+v", got)
	}
	if err := m.delete(t.Context(), "k", metaDelete{stale: true}); err != nil {
		t.Fatal(err)
	}
	if got := mustMetaGet(t, m, "k", metaGet{}).ttl; got == Forever || got < 50*time.Second {
		t.Errorf("an invalidation that says nothing of the expiry left %v", got)
	}
}

func testMetaKeys(t *testing.T, s memcached) {
	m := newMeta(t, s.address())
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	keys := []string{
		"a b", "a\r\nflush_all\r\n", "\x00", "a\x00b", "\t", "\x7f", "\x80\xff", "%20", "b", "-", "O1",
		string(all[:150]), string(all[33:]), strings.Repeat("x", 250), strings.Repeat(" ", 186),
	}
	for i, key := range keys {
		mustMetaSet(t, m, key, metaSet{value: []byte(fmt.Sprint("value ", i))})
	}
	for i, key := range keys {
		if got := mustMetaGet(t, m, key, metaGet{value: true}); string(got.value) != fmt.Sprint("value ", i) {
			t.Errorf("%q holds %q, want value %d", key, got.value, i)
		}
	}
	for _, key := range []string{strings.Repeat("x", 251), strings.Repeat(" ", 187)} {
		if _, err := m.set(t.Context(), key, metaSet{value: []byte("flush_all\r\n"), expires: time.Now().Add(time.Minute)}); err != ErrKeyTooLong {
			t.Errorf("%d bytes: %v, want %v", len(key), err, ErrKeyTooLong)
		}
	}
	for _, key := range keys {
		if err := m.delete(t.Context(), key, metaDelete{}); err != nil {
			t.Errorf("Delete(%q): %v", key, err)
		}
		if item, err := m.get(t.Context(), key, metaGet{}); item != nil || err != nil {
			t.Errorf("%q after its Delete: %+v, %v", key, item, err)
		}
	}
	// A key in base64 is the same key that others see.
	mustMetaSet(t, m, "a b", metaSet{value: []byte("x")})
	if got := ask(t, s, "mg "+base64.StdEncoding.EncodeToString([]byte("a b"))+" b s", ""); got[0] != "HD s1" {
		t.Errorf("mg returned %q", got)
	}
}

// Many callers on one connection get their own responses.
func testMetaConcurrent(t *testing.T, s memcached) {
	m := newMeta(t, s.address())
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				key := fmt.Sprintf("k %d %d", i, j)
				value := bytes.Repeat([]byte(key), 1+500*(j%7))
				_, err := m.set(t.Context(), key, metaSet{value: value, expires: time.Now().Add(time.Minute)})
				if err != nil {
					t.Error(err)
					return
				}
				if j%3 == 0 { // a caller that does not wait
					gone, cancel := context.WithCancel(t.Context())
					go cancel()
					m.get(gone, key, metaGet{value: true})
				}
				item, err := m.get(t.Context(), key, metaGet{value: true})
				if err != nil || item == nil || !bytes.Equal(item.value, value) {
					t.Errorf("%q: %+v, %v", key, item, err)
					return
				}
			}
			if _, err := m.get(t.Context(), "k", metaGet{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func testMetaRestart(t *testing.T, s memcached) {
	m := newMeta(t, s.address())
	mustMetaSet(t, m, "k", metaSet{value: []byte("x")})
	s.restart()
	await(t, "the end of the connection is noticed", func() bool { return !m.conn.alive() })
	if item, err := m.get(t.Context(), "k", metaGet{}); item != nil || err != nil {
		t.Errorf("after a restart: %+v, %v; want nothing", item, err)
	}
}

// Such a server would run the value of an ms as commands.
func TestNoMeta(t *testing.T) {
	respond := func(to, say string) func(string) act { return onCommand(to, act{say: say}) }
	tests := []struct {
		name   string
		script func(string) act
		text   string
	}{
		{"1.5.6", respond("version", "VERSION 1.5.6\r\n"), `"VERSION 1.5.6"`},
		{"1.6.9", respond("version", "VERSION 1.6.9\r\n"), `"VERSION 1.6.9"`},
		{"a version that is none", respond("version", "VERSION a.b\r\n"), `"VERSION a.b"`},
		{"another server", respond("version", "HTTP/1.1 400 Bad Request\r\n"), `"HTTP/1.1 400 Bad Request"`},
		{"no version", respond("version", "ERROR\r\n"), "`version` with \"ERROR\""},
		{"closes on version", onCommand("version", act{hangUp: true}), "closes the connection on `version`"},
		{"no mn", respond("mn", "ERROR\r\n"), "`mn` with \"ERROR\""},
		{"closes on mn", onCommand("mn", act{hangUp: true}), "closes the connection on `mn` after \"VERSION 1.6.18\", as a proxy does"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t)
			f.on(tt.script)
			m, c := newMeta(t, f.addr), new(clock)
			m.now = c.now
			set := metaSet{value: []byte("flush_all"), expires: c.now().Add(time.Minute)}
			for range 3 {
				_, err := m.set(t.Context(), "k", set)
				if !errors.Is(err, ErrNoMeta) || !strings.Contains(err.Error(), f.addr) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("Set: %v, want %v with %s", err, ErrNoMeta, tt.text)
				}
			}
			if _, err := m.get(t.Context(), "k", metaGet{}); !errors.Is(err, ErrNoMeta) {
				t.Errorf("get: %v", err)
			}
			if got := f.commands("ms"); len(got) > 0 {
				t.Errorf("it heard %q", got)
			}
			if got := f.commands("version"); len(got) != 1 {
				t.Errorf("it was asked %d times, want once", len(got))
			}
			f.on(nil) // an upgrade
			c.advance(30 * time.Second)
			if _, err := m.set(t.Context(), "k", set); err != nil {
				t.Errorf("after RetryAfter: %v", err)
			}
		})
	}
}

// A server that is replaced by an older one is asked again.
func TestMetaDowngrade(t *testing.T) {
	f := startFake(t)
	m := newMeta(t, f.addr)
	mustMetaSet(t, m, "k", metaSet{value: []byte("x")})
	f.on(onCommand("version", act{say: "VERSION 1.6.9\r\n"}))
	f.restart()
	await(t, "the end of the connection is noticed", func() bool { return !m.conn.alive() })
	_, err := m.set(t.Context(), "k", metaSet{value: []byte("y"), expires: time.Now().Add(time.Minute)})
	if !errors.Is(err, ErrNoMeta) {
		t.Errorf("Set: %v, want %v", err, ErrNoMeta)
	}
	if got := f.commands("ms"); len(got) != 1 {
		t.Errorf("it heard %q", got)
	}
}

func TestMetaVersion(t *testing.T) {
	tests := map[string]bool{
		"VERSION 1.6.10": true, "VERSION 1.6.18": true, "VERSION 1.6.38-5-gdeadbee": true, "VERSION 1.7.0": true, "VERSION 2.0.0": true,
		"VERSION 1.6.9": false, "VERSION 1.4.39": false, "VERSION 0.9.12": false, "VERSION ": false, "VERSION 1.6": false, "VERSION 1.6.": false,
		"1.6.18": false, "ERROR": false, "VERSION 1.6.99999999999": false,
	}
	for line, want := range tests {
		if got := speaksMeta(line); got != want {
			t.Errorf("metaVersion(%q) = %v, want %v", line, got, want)
		}
	}
}

// After a caller has left, nobody else gets its late response.
func TestMetaLateAnswer(t *testing.T) {
	f := startFake(t)
	m := newMeta(t, f.addr)
	mustMetaSet(t, m, "slow", metaSet{value: []byte("of slow")})
	mustMetaSet(t, m, "k", metaSet{value: []byte("of k")})
	hold := make(chan struct{})
	f.on(onCommand("mg slow", act{hold: hold}))
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := m.get(ctx, "slow", metaGet{value: true})
		left <- err
	}()
	await(t, "the slow one has arrived", func() bool { return len(f.commands("mg slow")) == 1 })
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that left: %v", err)
	}
	got := make(chan metaItem)
	go func() { got <- mustMetaGet(t, m, "k", metaGet{value: true}) }()
	await(t, "the other is sent behind it", func() bool {
		m.conn.mu.Lock()
		defer m.conn.mu.Unlock()
		return len(m.conn.asked) == 2
	})
	close(hold)
	if item := <-got; string(item.value) != "of k" {
		t.Errorf("k holds %q", item.value)
	}
	if got := f.commands("version"); len(got) != 1 {
		t.Errorf("%d connections, want one", len(got))
	}
}

// If a caller leaves before its command was written, it is not sent.
func TestMetaLeftInTheQueue(t *testing.T) {
	c := &metaConn{nc: nil, wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ask(ctx, metaCommand{verb: "mg", key: "k"}); !errors.Is(err, context.Canceled) {
		t.Errorf("ask: %v", err)
	}
	if batch := c.next(); len(batch) != 0 || len(c.queue) != 0 {
		t.Errorf("%d to be written, %d queued, want none", len(batch), len(c.queue))
	}
}

func TestMetaHungServer(t *testing.T) {
	f := startFake(t)
	never := make(chan struct{})
	m := newMeta(t, f.addr)
	mustMetaSet(t, m, "k", metaSet{value: []byte("x")})
	m.timeout = 30 * time.Millisecond
	m.conn.timeout = m.timeout
	f.on(onCommand("mg", act{hold: never}))
	start := time.Now()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := m.get(t.Context(), "k", metaGet{}); !errors.Is(err, errTimeout) {
				t.Errorf("Get: %v, want %v", err, errTimeout)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	conn := m.conn
	await(t, "the connection is given up", func() bool { return !conn.alive() })
	f.on(nil)
	m.timeout = 10 * time.Second
	if got := mustMetaGet(t, m, "k", metaGet{value: true}); string(got.value) != "x" {
		t.Errorf("when it responds again: %+v", got)
	}

	f.on(onCommand("version", act{hold: never}))
	f.hangUp()
	m.timeout = 30 * time.Millisecond
	await(t, "the end of the connection is noticed", func() bool { return !m.conn.alive() })
	if _, err := m.get(t.Context(), "k", metaGet{}); err == nil || errors.Is(err, ErrNoMeta) {
		t.Errorf("a server that does not respond to version is not one without meta: %v", err)
	}
}

func TestMetaAnswers(t *testing.T) {
	tests := []struct {
		name, say string
		want      error
		closes    bool // the connection
	}{
		{"another's opaque", "HD O99\r\n", errMetaReply, true},
		{"no opaque", "HD\r\n", errMetaReply, true},
		{"that of mn", "MN\r\n", errMetaReply, true},
		{"garbage", "HTTP/1.1 400 Bad Request\r\n", errMetaReply, true},
		{"a line without end", strings.Repeat("x", 10000), errMetaReply, true},
		{"client error", "CLIENT_ERROR invalid flag\r\n", ErrRefused, false},
		{"server error", "SERVER_ERROR out of memory\r\n", ErrRefused, false},
		{"error", "ERROR\r\n", ErrRefused, false},
		{"a value nobody asked for", "VA 1 O%d\r\nx\r\n", errMetaReply, false},
		{"a status of another command", "NS O%d\r\n", nil, false},
		{"two responses", "EN O%d\r\nEN O%d\r\n", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t)
			m := newMeta(t, f.addr)
			mustMetaSet(t, m, "k", metaSet{value: []byte("x")})
			f.on(onCommand("mg k", act{say: strings.ReplaceAll(tt.say, "%d", "2")}))
			_, err := m.get(t.Context(), "k", metaGet{})
			if !errors.Is(err, tt.want) {
				t.Errorf("Get: %v, want %v", err, tt.want)
			}
			if tt.closes {
				await(t, "the connection is closed", func() bool { return !m.conn.alive() })
			}
			f.on(nil)
			if got := mustMetaGet(t, m, "k", metaGet{value: true}); string(got.value) != "x" {
				t.Errorf("the next: %+v", got)
			}
			if got := len(f.commands("version")); (got == 2) != tt.closes {
				t.Errorf("%d connections", got)
			}
		})
	}
}

// An error that does not refuse the value may mean that it was run as commands.
func TestMetaSetRefused(t *testing.T) {
	f := startFake(t)
	m := newMeta(t, f.addr)
	mustMetaSet(t, m, "k", metaSet{value: []byte("x")})
	for say, connections := range map[string]int{"SERVER_ERROR out of memory storing object\r\n": 1, "CLIENT_ERROR bad data chunk\r\n": 2} {
		f.on(onCommand("ms", act{say: say}))
		_, err := m.set(t.Context(), "k", metaSet{value: []byte("y"), expires: time.Now().Add(time.Minute)})
		if !errors.Is(err, ErrRefused) {
			t.Errorf("Set: %v, want %v", err, ErrRefused)
		}
		if connections == 2 {
			await(t, "the connection is closed", func() bool { return !m.conn.alive() })
		} else if !m.conn.alive() {
			t.Errorf("%q closes the connection", say)
		}
	}
}

func TestMetaBusy(t *testing.T) {
	f := startFake(t)
	m := newMeta(t, f.addr)
	mustMetaSet(t, m, "k", metaSet{value: []byte("x")})
	hold := make(chan struct{})
	f.on(onCommand("mg", act{hold: hold}))
	var wg sync.WaitGroup
	for range maxMetaWaiting {
		wg.Go(func() {
			if _, err := m.get(t.Context(), "k", metaGet{}); err != nil {
				t.Errorf("Get: %v", err)
			}
		})
	}
	await(t, "all wait", func() bool {
		m.conn.mu.Lock()
		defer m.conn.mu.Unlock()
		return len(m.conn.asked)+len(m.conn.queue) == maxMetaWaiting
	})
	if _, err := m.get(t.Context(), "k", metaGet{}); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v, want %v", err, ErrBusy)
	}
	close(hold)
	wg.Wait()
}

func TestMetaClose(t *testing.T) {
	f := startFake(t)
	for _, where := range []string{"mg", "mn"} { // under way; dialling
		m := newMeta(t, f.addr)
		f.on(onCommand(where, act{hold: make(chan struct{})}))
		heard := len(f.commands(where))
		result := make(chan error)
		go func() {
			_, err := m.get(context.Background(), "k", metaGet{})
			result <- err
		}()
		await(t, "it has arrived", func() bool { return len(f.commands(where)) > heard })
		m.close()
		if err := <-result; !errors.Is(err, ErrClosed) {
			t.Errorf("%s under way: %v, want %v", where, err, ErrClosed)
		}
		if _, err := m.get(t.Context(), "k", metaGet{}); err != ErrClosed {
			t.Errorf("get: %v, want %v", err, ErrClosed)
		}
		m.close()
	}
}

func TestMetaNobodyThere(t *testing.T) {
	f := startFake(t)
	f.stop()
	m := newMeta(t, f.addr)
	if _, err := m.get(t.Context(), "k", metaGet{}); err == nil || errors.Is(err, ErrNoMeta) || !strings.Contains(err.Error(), f.addr) {
		t.Errorf("get: %v", err)
	}
	f.start()
	if _, err := m.get(t.Context(), "k", metaGet{}); err != nil {
		t.Errorf("when it is there: %v", err)
	}
}

func TestReadMetaReply(t *testing.T) {
	tests := []struct {
		name, in string
		want     metaReply
	}{
		{"header", "HD O1\r\n", metaReply{status: "HD", opaque: "1"}},
		{"miss", "EN O12\r\n", metaReply{status: "EN", opaque: "12"}},
		{"everything", "VA 3 t59 h1 l7 f5 s3 c9 O2\r\na\r\n\r\n", metaReply{status: "VA", opaque: "2",
			item: metaItem{value: []byte("a\r\n"), size: 3, flags: 5, ttl: 59 * time.Second, hit: true, lastAccess: 7 * time.Second, cas: 9}}},
		{"for ever", "HD t-1 O2\r\n", metaReply{status: "HD", opaque: "2", item: metaItem{ttl: Forever}}},
		{"won", "HD O5 X W\r\n", metaReply{status: "HD", opaque: "5", item: metaItem{stale: true, won: true}}},
		{"lost", "HD O5 Z X\r\n", metaReply{status: "HD", opaque: "5", item: metaItem{stale: true}}},
		{"a flag of the future", "HD kYSBi b !x O5\r\n", metaReply{status: "HD", opaque: "5"}},
		{"error line", "SERVER_ERROR object too large for cache\r\n", metaReply{line: "SERVER_ERROR object too large for cache"}},
		{"empty value", "VA 0 O1\r\n\r\n", metaReply{status: "VA", opaque: "1", item: metaItem{value: []byte{}}}},
	}
	for _, tt := range tests {
		got, err := readMetaReply(bufio.NewReader(strings.NewReader(tt.in)))
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tt.want) {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
	for _, in := range []string{
		"", "HD", "MN\r\n", "VA\r\n", "VA x\r\n", "VA -1\r\n", "VA 3\r\nab", "VA 3\r\nabcde", "VA 1073741825\r\n", "VA 99999999999999999999\r\n",
		"HDX O1\r\n", "hd O1\r\n", "\r\n", "END\r\n", "VALUE k 0 1\r\n", "HD t\r\n", "HD t-2\r\n", "HD hx\r\n", "HD f4294967296\r\n",
		"HD c-1\r\n", "HD sx\r\n", "HD l9999999999999999999\r\n", "HD t9223372036854775807\r\n", strings.Repeat("HD", 5000) + "\r\n",
	} {
		if got, err := readMetaReply(bufio.NewReader(strings.NewReader(in))); err == nil {
			t.Errorf("%.60q is read as %+v", in, got)
		}
	}
}

func FuzzReadMetaReply(f *testing.F) {
	for _, s := range []string{"HD t59 h1 l7 f5 s3 c9 O2 X W\r\n", "VA 3 O1\r\nabc\r\nEN\r\n", "MN\r\n", "CLIENT_ERROR x\r\n", "VA 1000000000\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		br := bufio.NewReader(bytes.NewReader(in))
		for {
			reply, err := readMetaReply(br)
			if err != nil {
				return
			}
			it := reply.item
			if (reply.status == "") == (reply.line == "") {
				t.Fatalf("%q: status %q, line %q", in, reply.status, reply.line)
			}
			if reply.status == "VA" && !bytes.Contains(in, it.value) || it.ttl < Forever || it.lastAccess < 0 || it.size < 0 {
				t.Fatalf("%q: %+v", in, it)
			}
			if it.won && !bytes.Contains(in, []byte("W")) {
				t.Fatalf("%q: won", in)
			}
		}
	})
}

func TestMetaCommand(t *testing.T) {
	tests := []struct {
		name string
		cmd  metaCommand
		want string
	}{
		{"get", metaCommand{verb: "mg", key: "k\x7f\xff", flags: " t"}, "mg k\x7f\xff t O7\r\n"},
		{"base64", metaCommand{verb: "mg", key: "a b", flags: " t"}, "mg YSBi b t O7\r\n"},
		{"set", metaCommand{verb: "ms", key: "k", flags: " T9", value: []byte("abc")}, "ms k 3 T9 O7\r\n"},
		{"set, base64", metaCommand{verb: "ms", key: "a b", flags: " T9"}, "ms YSBi 0 b T9 O7\r\n"},
	}
	for _, tt := range tests {
		if got, err := tt.cmd.head(7); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// Nothing is sent before the key is checked.
func TestMetaBadKeysStayHere(t *testing.T) {
	f := startFake(t)
	m := newMeta(t, f.addr)
	for _, key := range []string{"", strings.Repeat("x", 251), strings.Repeat("\n", 187)} {
		m.get(t.Context(), key, metaGet{})
		m.set(t.Context(), key, metaSet{expires: time.Now().Add(time.Minute)})
		m.delete(t.Context(), key, metaDelete{})
	}
	if got := f.commands(""); !slices.Equal(got, nil) {
		t.Errorf("memcached heard %q", got)
	}
}
