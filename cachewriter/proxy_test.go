package cachewriter

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A realProxy is a twemproxy (nutcracker) in front of two memcacheds.
type realProxy struct {
	addr     string
	backends [2]*realServer
}

func startProxy(t *testing.T) *realProxy {
	t.Helper()
	path, memcached := lookProgram(t, "nutcracker"), lookMemcached(t)
	dir := t.TempDir()
	p := &realProxy{addr: unixPrefix + filepath.Join(dir, "s")}
	for i := range p.backends {
		p.backends[i] = startReal(t, memcached)
	}
	config := filepath.Join(dir, "nutcracker.yml")
	text := fmt.Sprintf("uwgate:\n  listen: %s 0600\n  hash: fnv1a_64\n  distribution: ketama\n  auto_eject_hosts: false\n  timeout: 2000\n  servers:\n   - %s:1 a\n   - %s:1 b\n",
		filepath.Join(dir, "s"), p.backends[0].socket, p.backends[1].socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	cmd := exec.Command(path, "-c", config, "-o", log, "-p", filepath.Join(dir, "pid"), "-a", "127.0.0.1", "-s", freePort(t))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if err := awaitSocket(filepath.Join(dir, "s")); err != nil {
		said, _ := os.ReadFile(log)
		t.Fatalf("nutcracker does not listen: %v: %s", err, said)
	}
	return p
}

// freePort is for nutcracker's statistics, which cannot be turned off.
func freePort(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// Behind a proxy pages are stored and deleted by the classic commands only.
func TestProxy(t *testing.T) {
	p := startProxy(t)
	other, err := net.Dial("unix", strings.TrimPrefix(p.addr, unixPrefix))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetDeadline(time.Now().Add(time.Minute))
	others := bufio.NewReader(other)
	visit := func(when string) {
		t.Helper()
		fmt.Fprintf(other, "get nothing\r\n")
		if line, err := others.ReadString('\n'); line != "END\r\n" {
			t.Fatalf("%s another's connection says %q, %v", when, line, err)
		}
	}
	visit("before")

	w := newWriter(t, p.addr)
	w.Copies = true
	const pages = 20
	var keys []string
	for i := range pages {
		key := fmt.Sprintf("/a b%%%d\x7f\xc3\xa9", i)
		if i%2 == 0 {
			key = fmt.Sprint(":1:CUSTOMKEY:/", i)
		}
		keys = append(keys, key)
		put(t, w, page(key, "page\r\nof "+key))
	}
	await(t, "all is stored", func() bool { return w.Stats().Total.Stored == pages })
	at := [2]int{}
	for i, b := range p.backends {
		for _, key := range keys {
			if get(t, b, Escape(key)) != "" {
				at[i]++
			}
		}
	}
	if at[0] == 0 || at[1] == 0 || at[0]+at[1] != pages {
		t.Errorf("the backends hold %v pages of %d", at, pages)
	}

	for _, key := range keys {
		item, err := w.Get(t.Context(), Entry{Key: key})
		if err != nil || item == nil || string(item.Value) != "page\r\nof "+key || item.Usage != nil {
			t.Errorf("Get(%q): %+v, %v; want the page and nothing of its usage", key, item, err)
		}
	}
	meta := w.servers().stores[p.addr].meta
	for range 3 {
		_, err := meta.set(t.Context(), "k", metaSet{value: []byte("flush_all"), expires: time.Now().Add(time.Minute)})
		if !errors.Is(err, ErrNoMeta) || !strings.Contains(err.Error(), "closes the connection on `mn` after \"VERSION 1.6.") {
			t.Errorf("Meta: %v, want %v with the reason", err, ErrNoMeta)
		}
	}
	visit("after meta commands")

	for _, key := range keys {
		put(t, w, lastGood(Entry{Key: key}, "copy"))
	}
	await(t, "the copies are stored", func() bool { return w.Stats().Total.Stored == 2*pages })
	for _, key := range keys {
		for range 2 {
			if err := w.Delete(t.Context(), Entry{Key: key}); err != nil {
				t.Errorf("Delete(%q): %v", key, err)
			}
		}
		for _, e := range []Entry{{Key: key}, Entry{Key: key}.Sibling(KindCopy)} {
			if item, err := w.Get(t.Context(), e); item != nil || err != nil {
				t.Errorf("%q after the Delete of %q: %+v, %v", e.Key, key, item, err)
			}
		}
	}
	visit("in the end")
	if s := w.Stats().Servers[0]; s.Failed+s.Refused+s.DeleteErrors != 0 || s.Breaker != BreakerClosed {
		t.Errorf("not all went well: %+v", s)
	}
}

// A proxy is alive while a server behind it is dead: it responds with an error line, and
// the deletes are pending.
func TestProxyWithADeadServer(t *testing.T) {
	p := startProxy(t)
	w := newWriter(t, p.addr)
	w.Backoff.Min, w.Backoff.Max = 10*time.Millisecond, 10*time.Millisecond
	var dead, alive string // a key of each backend
	for i := 0; dead == "" || alive == ""; i++ {
		key := fmt.Sprint("k", i)
		put(t, w, page(key, "x"))
		await(t, "it is stored", func() bool { return w.Stats().Total.Stored == uint64(i+1) })
		if get(t, p.backends[0], key) != "" {
			dead = key
		} else {
			alive = key
		}
	}
	p.backends[0].stop()
	if err := w.Delete(t.Context(), Entry{Key: dead}); !errors.Is(err, ErrRefused) {
		t.Errorf("Delete: %v, want %v", err, ErrRefused)
	}
	// Its tombstone may lie on the dead one.
	if err := w.Delete(t.Context(), Entry{Key: alive}); err != nil && !errors.Is(err, ErrRefused) {
		t.Errorf("Delete of what the other holds: %v", err)
	}
	if got := get(t, p.backends[1], alive); got != "" {
		t.Errorf("after Delete the other holds %q", got)
	}
	if s := w.Stats().Servers[0]; s.Pending.Entries == 0 || s.Breaker != BreakerClosed {
		t.Errorf("%d pending deletes, breaker %s; want one at least, closed", s.Pending.Entries, s.Breaker)
	}
	os.Remove(p.backends[0].socket)
	p.backends[0].start()
	await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
}

// A memcached as in Debian 11 or older gets pages, and never an ms.
func TestOldMemcached(t *testing.T) {
	for _, version := range []string{"1.5.6", "1.6.9"} {
		t.Run(version, func(t *testing.T) {
			f := startFake(t)
			f.on(func(command string) act {
				switch word, _, _ := strings.Cut(command, " "); word {
				case "version":
					return act{say: "VERSION " + version + "\r\n"}
				case "mg", "ms", "md", "mn":
					return act{say: "ERROR\r\n"}
				}
				return act{}
			})
			w := newWriter(t, f.addr)
			for i, key := range []string{"k", "a b\x7f"} {
				put(t, w, page(key, "x"))
				await(t, "it is stored", func() bool { return w.Stats().Total.Stored == uint64(i+1) })
				item, err := w.Get(t.Context(), Entry{Key: key})
				if err != nil || item == nil || string(item.Value) != "x" || item.Usage != nil {
					t.Errorf("Get: %+v, %v", item, err)
				}
				if err := w.Delete(t.Context(), Entry{Key: key}); err != nil {
					t.Errorf("Delete: %v", err)
				}
			}
			meta := w.servers().stores[f.addr].meta
			for range 3 {
				_, err := meta.set(t.Context(), "k", metaSet{value: []byte("flush_all"), expires: time.Now().Add(time.Minute)})
				if !errors.Is(err, ErrNoMeta) || !strings.Contains(err.Error(), version) {
					t.Errorf("Meta: %v, want %v with the version", err, ErrNoMeta)
				}
			}
			if got := f.commands("m"); len(got) > 0 {
				t.Errorf("it heard %q", got)
			}
		})
	}
}
