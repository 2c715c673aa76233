package cachewriter

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

func BenchmarkEscape(b *testing.B) {
	for _, bm := range []struct{ name, key string }{
		{"nothing to do", typicalKey},
		{"percent and space", ":1:CUSTOMKEY:/articles/caf%C3%A9/ein Titel/?q=a%20b"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Escape(bm.key)
			}
		})
	}
}

func BenchmarkCheckKey(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckKey(typicalKey); err != nil {
			b.Fatal(err)
		}
	}
}

// benchServers are servers of different weights.
func benchServers(n int) (servers []Server) {
	for i := range n {
		servers = append(servers, Server{Name: fmt.Sprintf("10.0.0.%d:11211", i), Weight: i%3 + 1})
	}
	return servers
}

func BenchmarkNewRing(b *testing.B) {
	for _, m := range []Method{Modulo, Consistent} {
		for _, n := range []int{1, 5, 100} {
			b.Run(fmt.Sprintf("%v/%d", m, n), func(b *testing.B) {
				servers := benchServers(n)
				b.ReportAllocs()
				for b.Loop() {
					newRing(b, m, servers...)
				}
			})
		}
	}
}

// BenchmarkChoose chooses servers for keys that are all different.
func BenchmarkChoose(b *testing.B) {
	keys := benchKeys(1024)
	for _, m := range []Method{Modulo, Consistent} {
		b.Run(m.String(), func(b *testing.B) {
			r := newRing(b, m, benchServers(100)...)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Pick(keys[i%len(keys)])
			}
		})
	}
}

func benchKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint(typicalKey, i)
	}
	return keys
}

var storeSizes = []int{1 << 10, 16 << 10, 256 << 10}

// BenchmarkStore measures one entry, from Put until the server has it.
func BenchmarkStore(b *testing.B) {
	for _, size := range storeSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			w, stored := benchWriter(b), make(chan struct{}, 1)
			e := Entry{Key: typicalKey, Body: make([]byte, size), Expires: time.Now().Add(time.Hour), Done: func(error) { stored <- struct{}{} }}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Put(e); err != nil {
					b.Fatal(err)
				}
				<-stored
			}
			wantNoLoss(b, w)
		})
	}
}

// BenchmarkStoreMany measures many entries at a time: all workers are busy.
func BenchmarkStoreMany(b *testing.B) {
	const atATime = 64
	keys := benchKeys(1 << 14) // so many that none supersedes another
	for _, size := range storeSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			w, room := benchWriter(b), make(chan struct{}, atATime)
			e := Entry{Body: make([]byte, size), Expires: time.Now().Add(time.Hour), Done: func(error) { <-room }}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				room <- struct{}{}
				e.Key = keys[i%len(keys)]
				if err := w.Put(e); err != nil {
					b.Fatal(err)
				}
			}
			for range atATime { // the last ones
				room <- struct{}{}
			}
			wantNoLoss(b, w)
		})
	}
}

func BenchmarkDelete(b *testing.B) {
	for _, copies := range []bool{false, true} {
		b.Run(fmt.Sprintf("copies=%t", copies), func(b *testing.B) {
			w := benchWriter(b)
			w.Copies = copies
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Delete(b.Context(), Entry{Key: typicalKey}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchWriter is a Writer with one server, a sink.
func benchWriter(b *testing.B) *Writer {
	w := &Writer{
		Ring:        newRing(b, All, Server{Name: startSink(b)}),
		Timeout:     10 * time.Second,
		DialTimeout: 10 * time.Second,
	}
	b.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return w
}

func wantNoLoss(b *testing.B, w *Writer) {
	s := w.Stats().Total
	for cause, n := range s.Dropped {
		if n > 0 {
			b.Errorf("%d entries dropped: %s", n, cause)
		}
	}
	if s.Refused+s.Failed > 0 {
		b.Errorf("%d entries refused, %d failed", s.Refused, s.Failed)
	}
}

// startSink starts a memcached that stores nothing and allocates nothing, so that the
// Writer is measured. It returns its address.
func startSink(b *testing.B) string {
	socket := filepath.Join(b.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { sink(nc) })
		}
	})
	b.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
	return unixPrefix + socket
}

// sink responds until the Writer closes the connection.
func sink(nc net.Conn) {
	defer nc.Close()
	br := bufio.NewReaderSize(nc, 64<<10)
	stored, deleted, nothing := []byte("STORED\r\n"), []byte("DELETED\r\n"), []byte("END\r\n")
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return
		}
		response := deleted
		switch {
		case bytes.HasPrefix(line, []byte("get")):
			response = nothing
		case !bytes.HasPrefix(line, []byte("delete ")):
			response = stored
			line = bytes.TrimSpace(line)
			n, err := strconv.Atoi(string(line[bytes.LastIndexByte(line, ' ')+1:]))
			if err != nil {
				return
			}
			br.Discard(n + len("\r\n"))
		}
		if _, err := nc.Write(response); err != nil {
			return
		}
	}
}
