//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// kernelEntry is the innermost function of a system call by Go's own packages.
const kernelEntry = "internal/runtime/syscall/linux.Syscall6 syscall.RawSyscall6 "

func TestCategorise(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stack string // innermost first
		want  string
	}{
		{"read", kernelEntry + "syscall.Syscall syscall.read syscall.Read internal/poll.ignoringEINTRIO internal/poll.(*FD).Read net.(*conn).Read", "read(2)"},
		{"close by a read", kernelEntry + "syscall.Syscall syscall.Close internal/poll.(*SysFile).destroy internal/poll.(*FD).Read", "close(2)"},
		{"accept", kernelEntry + "syscall.Syscall6 syscall.accept4 syscall.Accept4 internal/poll.accept", "accept4(2)"},
		{"package unix", kernelEntry + "syscall.Syscall golang.org/x/sys/unix.Connect uwgate/gateway/socket.dial", "connect(2)"},
		{"a raw call of our own", kernelEntry + "uwgate/gateway/socket.(*Conn).Write uwgate/gateway.(*exchange).relay", "write(2)"},
		{"and inside a closure", kernelEntry + "uwgate/gateway/socket.(*Conn).Read.func1 uwgate/gateway/socket.(*Conn).Read", "read(2)"},
		{"a raw call whose name says nothing", kernelEntry + "uwgate/gateway/socket.hasEnded uwgate/gateway.readAll", catOtherCalls},
		{"adding to epoll", "internal/runtime/syscall/linux.Syscall6 internal/runtime/syscall/linux.EpollCtl runtime.netpollopen", "epoll_ctl(2)"},
		{"waiting with epoll", "internal/runtime/syscall/linux.Syscall6 internal/runtime/syscall/linux.EpollWait runtime.netpoll", catScheduling},
		{"an option", kernelEntry + "syscall.Syscall6 syscall.setsockopt syscall.SetsockoptInt", "setsockopt(2)"},
		{"on the way to a call", "syscall.anyToSockaddr syscall.Accept4 internal/poll.accept", catNet},
		{"entering a call", "runtime.reentersyscall runtime.entersyscall syscall.Syscall syscall.read", catScheduling},

		{"help with an allocation", "runtime.greyobject runtime.gcDrainN runtime.gcAssistAlloc runtime.mallocgc uwgate/uwsgi.ReadRequest", catCollection},
		{"what marking looks up", "runtime.findObject runtime.scanSpan runtime.gcDrain", catCollection},
		{"sweeping", "runtime.(*mspan).moveInlineMarks runtime.(*sweepLocked).sweep runtime.bgsweep", catCollection},
		{"allocation", "runtime.(*mspan).nextFreeIndex runtime.(*mcache).nextFree runtime.mallocgc uwgate/uwsgi.ReadRequest", catAllocation},
		{"profile of the heap", "runtime.findfunc runtime.callers runtime.mProf_Malloc runtime.mallocgc", catAllocation},
		{"a stack grows", "runtime.pcvalue runtime.adjustframe runtime.copystack runtime.newstack net.socket", catStacks},
		{"idle", "runtime.futex runtime.futexsleep runtime.notesleep runtime.stopm runtime.mcall", catScheduling},
		{"leaving the goroutine", "runtime.dropg runtime.park_m runtime.mcall", catScheduling},
		{"deadline", "runtime.lock2 runtime.(*timer).modify internal/poll.runtime_pollSetDeadline net.(*conn).SetDeadline", catTimers},

		{"net", "net.sockaddrToUnix net.(*netFD).accept uwgate/gateway.(*Gateway).accept", catNet},
		{"no package net", "net/http.(*conn).serve", catRest},
		{"codec", "runtime.memmove uwgate/uwsgi.Vars.Lookup uwgate/gateway/policy.(*Firewall).Screen", catCodec},
		{"policy", "strings.Index uwgate/gateway/policy.(*Firewall).Screen uwgate/gateway.(*exchange).screen", catPolicy},
		{"backends", "uwgate/gateway/backend.(*Pool).choose uwgate/gateway.(*exchange).forward", catBackends},
		{"gateway", "runtime.mapaccess1_faststr uwgate/gateway.(*flights).join", catGateway},
		{"store", "bufio.(*Writer).Write github.com/bradfitz/gomemcache/memcache.(*Client).populateOne uwgate/cachewriter.(*link).do", catStore},
		{"log", "strconv.AppendInt go.uber.org/zap/zapcore.(*jsonEncoder).AddInt64 uwgate/gateway.(*Gateway).record", catLog},
		{"relay", "sync.(*Pool).Get main.(*relay).serve", catRelay},
		{"types with slashes", "slices.SortFunc[go.shape.[]uwgate/uwsgi.Var] uwgate/gateway.sorted", catGateway},
		{"nothing of ours", "runtime.goexit", catRest},
		{"empty", "", catRest},
	} {
		if got := categorise(strings.Fields(tt.stack)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzCategorise(f *testing.F) {
	f.Add(kernelEntry + "syscall.Syscall syscall.read")
	f.Add("slices.SortFunc[go.shape.[]uwgate/uwsgi.Var] uwgate/gateway.sorted")
	f.Fuzz(func(t *testing.T, stack string) {
		if categorise(strings.Fields(stack)) == "" {
			t.Errorf("%q counts as nothing", stack)
		}
	})
}

// TestSplit writes and reads a profile. One function of a stack is inlined.
func TestSplit(t *testing.T) {
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	at := func(names ...string) *profile.Location {
		l := &profile.Location{ID: uint64(len(p.Location) + 1)}
		for _, name := range names {
			fn := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
			p.Function = append(p.Function, fn)
			l.Line = append(l.Line, profile.Line{Function: fn})
		}
		p.Location = append(p.Location, l)
		return l
	}
	gateway := at("uwgate/gateway.(*Gateway).serveConn")
	p.Sample = []*profile.Sample{
		{Location: []*profile.Location{at("runtime.memmove", "uwgate/uwsgi.ReadRequest"), gateway}, Value: []int64{1, 10}},
		{Location: []*profile.Location{gateway}, Value: []int64{3, 30}},
	}
	var file bytes.Buffer
	if err := p.Write(&file); err != nil {
		t.Fatal(err)
	}
	read, err := profile.ParseData(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got := splitOf(read); len(got) != 2 || got[catCodec] != 0.25 || got[catGateway] != 0.75 {
		t.Errorf("got %v, want a quarter codec and the rest gateway", got)
	}
}
