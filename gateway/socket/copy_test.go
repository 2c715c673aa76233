package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// sockets returns the two ends of a connection.
func sockets(t testing.TB, network string) (_, _ net.Conn) {
	t.Helper()
	at := map[string]string{"unix": filepath.Join(t.TempDir(), "s"), "tcp": "127.0.0.1:0"}[network]
	ln, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// ways are those that a Copy can take.
var ways = map[string]func(*Copy) error{"splice": (*Copy).Run, "copy": (*Copy).copy}

// eachCopy runs a test for both kinds of sockets at either end, and for both
// ways between them: source → from, to → sink.
func eachCopy(t *testing.T, test func(t *testing.T, l line)) {
	for _, from := range []string{"unix", "tcp"} {
		for _, to := range []string{"unix", "tcp"} {
			for name, way := range ways {
				t.Run(from+" to "+to+" by "+name, func(t *testing.T) {
					l := line{way: way}
					l.source, l.from = sockets(t, from)
					l.to, l.sink = sockets(t, to)
					test(t, l)
				})
			}
		}
	}
}

type line struct {
	way                    func(*Copy) error
	source, from, to, sink net.Conn
}

// passed runs a Copy and returns what has come out of it, when all that went
// in was sent and the source closed.
func (l line) passed(t *testing.T, p *Copy, sent []byte) ([]byte, error) {
	t.Helper()
	go func() {
		l.source.Write(sent)
		CloseWrite(l.source)
	}()
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(l.sink)
		got <- b
	}()
	p.From, p.To = l.from, l.to
	err := l.way(p)
	l.to.Close()
	return <-got, err
}

func TestCopy(t *testing.T) {
	const size = 3*MinSplice + 5
	sent := noise(size)
	for _, tt := range []struct {
		name string
		left int64
		want int
		err  error
		rest int64
	}{
		{"all", size, size, nil, 0},
		{"less than comes", size - 10, size - 10, nil, 0},
		{"more than comes", size + 10, size, io.EOF, 10},
		{"to the end", Endless, size, io.EOF, Endless},
		{"nothing", 0, 0, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachCopy(t, func(t *testing.T, l line) {
				var moved int
				p := Copy{Left: tt.left, Idle: patience, Moved: func(n int) { moved += n }}
				got, err := l.passed(t, &p, sent)
				if err != tt.err || p.Left != tt.rest || moved != tt.want || !bytes.Equal(got, sent[:tt.want]) {
					t.Errorf("%d bytes came out, %d were reported, %d are left, %v; want %d, %d left, %v",
						len(got), moved, p.Left, err, tt.want, tt.rest, tt.err)
				}
			})
		})
	}
}

// What a Copy does not take stays where it was.
func TestCopyLeavesTheRest(t *testing.T) {
	const size = 2 * MinSplice
	sent := noise(size + 3)
	eachCopy(t, func(t *testing.T, l line) {
		if _, err := l.passed(t, &Copy{Left: size, Idle: patience}, sent); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(l.from)
		if !bytes.Equal(rest, sent[size:]) || err != nil {
			t.Errorf("%d bytes are behind it, %v; want 3", len(rest), err)
		}
	})
}

func TestCopyFails(t *testing.T) {
	eachCopy(t, func(t *testing.T, l line) {
		p := Copy{From: l.from, To: l.to, Left: 2 * MinSplice, Idle: 100 * time.Millisecond}
		var werr WriteError
		if err := l.way(&p); !isTimeout(err) || errors.As(err, &werr) {
			t.Errorf("nothing comes: %v, want a timeout of the reader", err)
		}
		go l.source.Write(make([]byte, 64<<20)) // ends when the test does
		p.Left, p.Idle = Endless, time.Second   // a busy machine may be slow to fill the way
		if err := l.way(&p); !isTimeout(err) || !errors.As(err, &werr) {
			t.Errorf("nobody takes it: %v, want a timeout of the writer", err)
		}
		l.sink.Close()
		if err := l.way(&p); !errors.As(err, &werr) || isTimeout(err) {
			t.Errorf("nobody is there: %v, want an error of the writer", err)
		}
		p.To, p.Left = nil, 2*MinSplice
		if err := p.Run(); err != nil || p.Left != 0 {
			t.Errorf("dropping: %v, %d left", err, p.Left)
		}
		closeHard(l.source)
	})
}

// A reset is no end, either way.
func TestCopyIsReset(t *testing.T) {
	eachCopy(t, func(t *testing.T, l line) {
		go io.Copy(io.Discard, l.sink)
		l.source.Write([]byte("some"))
		l.from.Write([]byte("unread")) // makes a reset of the close of a UNIX socket
		closeHard(l.source)
		err := l.way(&Copy{From: l.from, To: l.to, Left: Endless, Idle: patience})
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want a reset", err)
		}
	})
}

func TestCopyThroughAFile(t *testing.T) {
	const size = 3*MinSplice + 5
	sent := noise(size)
	eachCopy(t, func(t *testing.T, l line) {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		go l.source.Write(sent)
		if err := l.way(&Copy{From: l.from, To: f, Left: size, Idle: patience}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		go func() {
			l.way(&Copy{From: f, To: l.to, Left: size, Idle: patience})
			CloseWrite(l.to)
		}()
		if got, err := io.ReadAll(l.sink); !bytes.Equal(got, sent) || err != nil {
			t.Errorf("%d bytes came back, %v; want the same %d", len(got), err, size)
		}
	})
}

// noise is n bytes in no order.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// closeHard closes so that TCP sends a reset.
func closeHard(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// A wrapped is a connection around another one.
type wrapped struct{ net.Conn }

func (w wrapped) Raw() net.Conn { return w.Conn }

// Which streams the kernel may move: a connection of ours is looked into, and one
// whose bytes differ from the kernel's is left alone.
func TestDescriptor(t *testing.T) {
	nc, _ := sockets(t, "tcp")
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	for name, tt := range map[string]struct {
		s    any
		want bool
	}{
		"tcp":       {nc, true},
		"wrapped":   {wrapped{nc}, true},
		"disguised": {struct{ net.Conn }{nc}, false},
		"in memory": {near, false},
		"nobody":    {nil, false},
		"file":      {os.Stdin, true},
	} {
		if got := descriptor(tt.s) != nil; got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// The metric counts the processor time of all that takes part: of the two
// programs at the ends, too.
func BenchmarkCopy(b *testing.B) {
	const size = 64 << 20
	for _, from := range []string{"unix", "tcp"} {
		for _, to := range []string{"unix", "tcp"} {
			for name, way := range ways {
				b.Run(from+" to "+to+" by "+name, func(b *testing.B) {
					source, in := sockets(b, from)
					out, sink := sockets(b, to)
					go fill(source)
					go empty(sink)
					b.SetBytes(size)
					before := processorTime()
					for b.Loop() {
						if err := way(&Copy{From: in, To: out, Left: size, Idle: time.Minute}); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64((processorTime()-before).Milliseconds())/float64(b.N)*(1<<30/size), "cpu-ms/GiB")
				})
			}
		}
	}
}

// fill and empty are the ends, until they are closed.
func fill(nc net.Conn) {
	buf := make([]byte, 1<<20)
	for {
		if _, err := nc.Write(buf); err != nil {
			return
		}
	}
}

func empty(nc net.Conn) {
	buf := make([]byte, 1<<20)
	for {
		if _, err := nc.Read(buf); err != nil {
			return
		}
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
