package cachewriter

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A memcached is a server that the tests below can ask directly and restart.
type memcached interface {
	address() string
	restart()
}

func (f *fake) address() string { return f.addr }

// The same tests run against the fake and, where it is installed, the real one.
func TestMemcached(t *testing.T) {
	tests := []struct {
		name string
		run  func(*testing.T, memcached)
	}{
		{"Stored", testStored},
		{"TooLarge", testTooLarge},
		{"KeyTooLong", testKeyTooLong},
		{"Restart", testRestart},
		{"DeleteGone", testDeleteGone},
		{"Get", testGet},
		{"GetUnseen", testGetUnseen},
		{"GetStale", testGetStale},
		{"DeleteTakesTheCopy", testDeleteTakesTheCopy},
		{"Tombstone", testTombstone},
		{"PurgesInACrowd", testPurgesInACrowd},
		{"Expire", testExpire},
		{"Records", testRecords},
		{"RecordOfACopy", testRecordOfACopy},
		{"PurgeLogHolds", testPurgeLogHolds},
		{"PurgeLogInACrowd", testPurgeLogInACrowd},
		{"Dump", testDump},
		{"PurgeMatching", testPurgeMatching},
		{"PurgeKeeps", testPurgeKeeps},
		{"Walk", testWalk},
		{"Info", testInfo},
		{"Survey", testSurvey},
		{"ManyKeys", testManyKeys},
		{"NoOlderBody", func(t *testing.T, m memcached) { testNoOlderBody(t, m, 100, false) }},
		{"Usage", testUsage},
		{"UsageOfStale", testUsageOfStale},
		{"Lock", testLock},
		{"LockCrowd", testLockCrowd},
		{"MetaGet", testMetaGet},
		{"MetaSet", testMetaSet},
		{"MetaLock", testMetaLock},
		{"MetaStale", testMetaStale},
		{"MetaKeys", testMetaKeys},
		{"MetaConcurrent", testMetaConcurrent},
		{"MetaRestart", testMetaRestart},
	}
	t.Run("fake", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) { tt.run(t, startFake(t)) })
		}
	})
	t.Run("real", func(t *testing.T) {
		path := lookMemcached(t)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) { tt.run(t, startReal(t, path)) })
		}
		t.Run("Hung", func(t *testing.T) { testHung(t, startReal(t, path)) })
		t.Run("HungWhilePurged", func(t *testing.T) { testHungWhilePurged(t, startReal(t, path)) })
		t.Run("PurgeUnderLoad", func(t *testing.T) { testPurgeUnderLoad(t, startReal(t, path, "-m", "32", "-o", "hashpower=12")) })
		t.Run("NoOlderBodyForLong", func(t *testing.T) { testNoOlderBody(t, startReal(t, path), 500, false) })
		t.Run("NoOlderBodyWithEvictions", func(t *testing.T) { testNoOlderBody(t, startReal(t, path, "-m", "2"), 300, true) })
		t.Run("Shorten", func(t *testing.T) { testShorten(t, startReal(t, path)) })
		t.Run("LockExpires", func(t *testing.T) { testLockExpires(t, startReal(t, path)) })
		t.Run("LockKept", func(t *testing.T) { testLockKept(t, startReal(t, path)) })
		t.Run("LockKilled", func(t *testing.T) { testLockKilled(t, startReal(t, path)) })
		t.Run("LockWithoutCAS", func(t *testing.T) { testLockWithoutCAS(t, startReal(t, path, "-C")) })
	})
}

// stackEnv set to 1 says that the real servers must be there.
const stackEnv = "UWGATE_TEST_STACK"

func lookMemcached(t testing.TB) string { return lookProgram(t, "memcached") }

// lookProgram also looks where daemons are, which is in root's path only.
func lookProgram(t testing.TB, name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	if err == nil {
		return path
	}
	if os.Getenv(stackEnv) == "1" {
		t.Fatalf("%v, and %s=1", err, stackEnv)
	}
	t.Skip(err)
	return ""
}

// A realServer is a memcached process on a socket of its own.
type realServer struct {
	t            testing.TB
	path, socket string
	options      []string
	cmd          *exec.Cmd
}

func startReal(t testing.TB, path string, options ...string) *realServer {
	r := &realServer{t: t, path: path, socket: filepath.Join(t.TempDir(), "s"), options: options}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *realServer) address() string { return unixPrefix + r.socket }

func (r *realServer) start() {
	args := append([]string{"-s", r.socket, "-m", "16", "-t", "2"}, r.options...)
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	var errs bytes.Buffer
	r.cmd = exec.Command(r.path, args...)
	r.cmd.Stderr = &errs
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	if err := awaitSocket(r.socket); err != nil {
		r.stop()
		r.t.Fatalf("memcached does not listen: %v: %s", err, errs.String())
	}
}

func awaitSocket(path string) error {
	for end := time.Now().Add(time.Minute); ; runtime.Gosched() {
		nc, err := net.Dial("unix", path)
		if err == nil {
			return nc.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

func (r *realServer) stop() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
}

func (r *realServer) restart() {
	r.stop()
	os.Remove(r.socket)
	r.start()
}

func testGet(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	for _, key := range []string{"k:/a b%", "k:\x7f\xc3\xa9"} {
		if item, err := w.Get(t.Context(), Entry{Key: key}); item != nil || err != nil {
			t.Errorf("%q before it is stored: %+v, %v; want nothing", key, item, err)
		}
		put(t, w, Entry{Key: key, Body: []byte("a\r\nEND\r\nb"), Flags: 2, Expires: time.Now().Add(time.Minute)})
		await(t, "it is stored", func() bool { return w.Stats().Total.QueuedEntries == 0 })
		item, err := w.Get(t.Context(), Entry{Key: key})
		if err != nil || item == nil {
			t.Fatalf("%q: %+v, %v", key, item, err)
		}
		if string(item.Value) != "a\r\nEND\r\nb" || item.Flags != 2 || item.Addr != w.Ring.addrs[0] {
			t.Errorf("%q: got %+v", key, item)
		}
	}
	if _, err := w.Get(t.Context(), Entry{Key: strings.Repeat("k", 251)}); !errors.Is(err, ErrKeyTooLong) {
		t.Errorf("a key that is too long: %v", err)
	}
}

// Get does not mark a page as served.
func testGetUnseen(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	put(t, w, page("k", "x"))
	await(t, "it is stored", func() bool { return w.Stats().Total.Stored == 1 })
	usage := func() Usage {
		t.Helper()
		item, err := w.Get(t.Context(), Entry{Key: "k"})
		if err != nil || item == nil || item.Usage == nil {
			t.Fatalf("Get: %+v, %v", item, err)
		}
		return *item.Usage
	}
	for range 2 {
		if got := usage(); got.Served || got.Stale || got.TTL > time.Minute || got.TTL < 50*time.Second || got.LastAccess > 5*time.Second {
			t.Errorf("before a visit: %+v", got)
		}
	}
	get(t, m, "k")
	if !usage().Served {
		t.Error("after nginx's get it is not served")
	}
}

// Get leaves the right to refresh a stale page to others.
func testGetStale(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	put(t, w, page("k", "x"))
	await(t, "it is stored", func() bool { return w.Stats().Total.Stored == 1 })
	meta := newMeta(t, m.address())
	if err := meta.delete(t.Context(), "k", metaDelete{stale: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		item, err := w.Get(t.Context(), Entry{Key: "k"})
		if err != nil || item == nil || !item.Usage.Stale || string(item.Value) != "x" || item.Usage.TTL < 50*time.Second {
			t.Errorf("Get: %+v, %v", item, err)
		}
	}
	if got := mustMetaGet(t, meta, "k", metaGet{}); !got.won {
		t.Errorf("after it was explained: %+v, want it to be won", got)
	}
}

// A page that was purged while its server hung is deleted as soon as the server is back,
// without another call.
func testHungWhilePurged(t *testing.T, r *realServer) {
	w := newWriter(t, r.address())
	w.Timeout, w.Backoff.Min, w.Backoff.Max = 50*time.Millisecond, time.Millisecond, 20*time.Millisecond
	keys := []string{"k", "a b", "\x7f"}
	for _, key := range keys {
		putStored(t, w, page(key, "stale"))
	}
	r.cmd.Process.Signal(syscall.SIGSTOP)
	defer r.cmd.Process.Signal(syscall.SIGCONT)
	for _, key := range keys {
		if err := w.Delete(t.Context(), Entry{Key: key}); err == nil {
			t.Errorf("Delete(%q) on a stopped server succeeded", key)
		}
	}
	if got := w.Stats().Servers[0].Pending.Entries; got != len(keys) {
		t.Errorf("%d pending deletes, want %d", got, len(keys))
	}
	r.cmd.Process.Signal(syscall.SIGCONT)
	await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	for _, key := range keys {
		if got := get(t, r, Escape(key)); got != "" {
			t.Errorf("%q still holds %q", key, got)
		}
	}
}

// ask sends a command as nginx does and returns the lines of the response, up to the one
// that starts with last.
func ask(t *testing.T, m memcached, command, last string) (lines []string) {
	t.Helper()
	network, address := dialArgs(m.address())
	nc, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(nc, "%s\r\n", command)
	for sc := bufio.NewScanner(nc); sc.Scan(); {
		lines = append(lines, sc.Text())
		if strings.HasPrefix(sc.Text(), last) {
			return lines
		}
	}
	t.Fatalf("%q returned %q", command, lines)
	return nil
}

func get(t *testing.T, m memcached, wire string) string {
	t.Helper()
	lines := ask(t, m, "get "+wire, "END")
	return strings.Join(lines[:len(lines)-1], "\n")
}

func ttl(t *testing.T, m memcached, wire string) (seconds int64) {
	t.Helper()
	line := ask(t, m, "mg "+wire+" t", "")[0]
	if _, err := fmt.Sscanf(line, "HD t%d", &seconds); err != nil {
		t.Errorf("mg %q returned %q", wire, line)
	}
	return seconds
}

func testStored(t *testing.T, m memcached) {
	tests := []struct {
		name, raw string
		flags     uint32
		life      time.Duration
	}{
		{"plain", ":1:CUSTOMKEY:/", 0, time.Minute},
		{"space, percent, LF", "/a b%20\n", 0, time.Minute},
		{"flags", "flags", 1<<32 - 1 - ReservedFlags, time.Minute},
		{"250 bytes", strings.Repeat("x", 250), 0, time.Minute},
		{"DEL", "/a\x7fb c", 2, time.Minute},
		{"0x80 and on", "/caf\xc3\xa9\xff\x80", 0, time.Minute},
		{"DEL and 0x80", "\x7f\x80", 0, time.Minute},
		{"40 days", "/long", 0, 40 * 24 * time.Hour},
		{"40 days, DEL", "/long\x7f", 0, 40 * 24 * time.Hour},
		{"less than a second", "/short", 0, 900 * time.Millisecond},
	}
	w := newWriter(t, m.address())
	for _, tt := range tests {
		put(t, w, Entry{Key: tt.raw, Body: []byte("body of " + tt.name), Flags: tt.flags, Expires: time.Now().Add(tt.life)})
		await(t, tt.name+" is stored", func() bool { return w.Stats().Total.QueuedEntries == 0 })
		wire := Escape(tt.raw)
		body := "body of " + tt.name
		if got, want := get(t, m, wire), fmt.Sprintf("VALUE %s %d %d\n%s", wire, tt.flags|FlagStored, len(body), body); got != want {
			t.Errorf("%s: got %q, want %q", tt.name, got, want)
		}
		// memcached's clock ticks once a second and may lag by one.
		if got, want := ttl(t, m, wire), max(int64(tt.life/time.Second), 1); got < max(want-5, 0) || got > want+1 {
			t.Errorf("%s: expires in %d s, want %d", tt.name, got, want)
		}
	}
	if s := w.Stats().Servers[0]; s.Stored != uint64(len(tests)) {
		t.Errorf("stored %d, want %d (%s)", s.Stored, len(tests), s.LastError)
	}
}

// If memcached refuses a value the old one is gone, and the breaker stays closed.
func testTooLarge(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	large := strings.Repeat("flush_all\r\n", 1<<20/11+1)
	put(t, w, page("other", "kept"))
	for i, key := range []string{"k", "k\x7f"} {
		put(t, w, page(key, "old"))
		await(t, "the old one is stored", func() bool { return w.Stats().Total.Stored == uint64(i+2) })
		put(t, w, page(key, large))
		await(t, "the large one is refused", func() bool { return w.Stats().Total.Refused == uint64(i+1) })
		if got := get(t, m, key); got != "" {
			t.Errorf("%q still holds %q", key, got)
		}
	}
	put(t, w, page("k", strings.Repeat("x", 1_000_000)))
	drain(t, w)
	s := w.Stats().Servers[0]
	if s.Stored != 4 || s.Failed != 0 || s.Breaker != BreakerClosed || !strings.Contains(s.LastError, "too large") {
		t.Errorf("stored %d, failed %d, breaker %s, last error %q", s.Stored, s.Failed, s.Breaker, s.LastError)
	}
	if got := get(t, m, "other"); !strings.Contains(got, "kept") {
		t.Errorf("the other key holds %q", got)
	}
}

// memcached would run the body of a set with too long a key as commands.
func testKeyTooLong(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	put(t, w, page("other", "kept"))
	for _, key := range []string{strings.Repeat("x", 251), strings.Repeat(" ", 84), strings.Repeat("\x7f", 251)} {
		if err := w.Put(page(key, "flush_all\r\nset evil 0 0 1\r\nx\r\n")); err != ErrKeyTooLong {
			t.Errorf("Put of %d bytes: %v, want %v", len(key), err, ErrKeyTooLong)
		}
	}
	drain(t, w)
	if got := get(t, m, "evil"); got != "" {
		t.Errorf("the body was run: %q", got)
	}
	if got := get(t, m, "other"); !strings.Contains(got, "kept") {
		t.Errorf("the other key holds %q", got)
	}
}

func testRestart(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	w.Workers = 1
	for i, key := range []string{"k", "k\x7f"} {
		put(t, w, page(key, "first"))
		await(t, "the first is stored", func() bool { return w.Stats().Total.Stored == uint64(2*i+1) })
		m.restart()
		put(t, w, page(key, "second"))
		await(t, "the second is stored", func() bool { return w.Stats().Total.Stored == uint64(2*i+2) })
		if got := get(t, m, key); !strings.Contains(got, "second") {
			t.Errorf("%q holds %q", key, got)
		}
	}
	if s := w.Stats().Servers[0]; s.Failed != 0 {
		t.Errorf("%d failed: %s", s.Failed, s.LastError)
	}
}

func testDeleteGone(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	for _, key := range []string{"k", "k \x7f", "\xff%"} {
		put(t, w, page(key, "x"))
		for range 2 { // the second time there is nothing to delete
			if err := w.Delete(t.Context(), Entry{Key: key}); err != nil {
				t.Errorf("Delete(%q): %v", key, err)
			}
			if got := get(t, m, Escape(key)); got != "" {
				t.Errorf("after Delete %q holds %q", key, got)
			}
		}
	}
}

// A stopped process accepts connections and does not respond.
func testHung(t *testing.T, r *realServer) {
	w := newWriter(t, r.address())
	w.Timeout, w.Workers, w.Backoff.Min = 50*time.Millisecond, 1, time.Millisecond
	putStored(t, w, page("k", "x"))
	r.cmd.Process.Signal(syscall.SIGSTOP)
	defer r.cmd.Process.Signal(syscall.SIGCONT)

	start := time.Now()
	if err := w.Delete(t.Context(), Entry{Key: "k"}); err == nil {
		t.Error("Delete of a stopped server succeeded")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Delete took %v", took)
	}
	for i := range 10 {
		w.Put(page(fmt.Sprint(i), "x"))
	}
	await(t, "the queue is empty", func() bool { return w.Stats().Total.QueuedEntries == 0 })
	await(t, "the breaker is open", func() bool { return w.Stats().Servers[0].Breaker == BreakerOpen }) // now and then it is probing
	if s := w.Stats().Servers[0]; s.Stored != 1 {
		t.Errorf("stored %d", s.Stored)
	}

	r.cmd.Process.Signal(syscall.SIGCONT)
	await(t, "Delete gets through", func() bool { return w.Delete(t.Context(), Entry{Key: "k"}) == nil })
	if got := get(t, r, "k"); got != "" {
		t.Errorf("after Delete k holds %q", got)
	}
}
