//go:build linux

package main

import (
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// A split is the share of CPU time of each category. Each system call is a category,
// named like its manual page.
type split map[string]float64

// The other categories. Time in the kernel belongs to the system call.
const (
	catOtherCalls = "other system calls"
	catCollection = "garbage collection"
	catAllocation = "allocation"
	catStacks     = "growth of stacks"
	catScheduling = "scheduling and waiting"
	catTimers     = "timers"
	catNet        = "net and poll"
	catCodec      = "codec"
	catPolicy     = "policy"
	catBackends   = "backends"
	catGateway    = "gateway"
	catStore      = "store"
	catLog        = "log"
	catRelay      = "relay"
	catRest       = "the rest"
)

// kinds maps prefixes of functions' names to categories. The innermost function of a
// stack that has a category decides; functions without one, such as memmove, sort or
// strconv, count for their callers. The first line that matches wins.
var kinds = []struct {
	category string
	names    []string
}{
	{catCollection, []string{
		"runtime.gc", "runtime.bgs", "runtime.scan", "runtime.markroot", "runtime.sweep", "runtime.grey", "runtime.wbBuf",
		"runtime.bulkBarrier", "runtime.(*gc", "runtime.(*sweep", "runtime.(*scavenge", "runtime.(*pageAlloc).scav", "runtime._GC",
		"runtime.typePointers", "runtime.tryDeferToSpanScan", "runtime.spanInline", "runtime.(*spanInline",
	}},
	{catStacks, []string{
		"runtime.newstack", "runtime.copystack", "runtime.stack", "runtime.adjust", "runtime.malg", "runtime.morestack", "runtime.shrinkstack",
	}},
	{catTimers, []string{
		"runtime.(*timer", "runtime.poll_runtime_pollSetDeadline", "internal/poll.setDeadlineImpl", "internal/poll.runtime_pollSetDeadline",
		"time.AfterFunc", "time.(*Timer", "time.(*Ticker", "time.NewTimer", "time.newTimer", "time.resetTimer", "time.stopTimer",
		"context.WithDeadline", "context.WithTimeout", "context.(*timerCtx",
	}},
	{catScheduling, []string{
		"runtime.schedule", "runtime.findRunnable", "runtime.park", "runtime.gopark", "runtime.goready", "runtime.ready", "runtime.gosched",
		"runtime.gopreempt", "runtime.asyncPreempt", "runtime.preempt", "runtime.wake", "runtime.startm", "runtime.stopm", "runtime.futex",
		"runtime.note", "runtime.usleep", "runtime.osyield", "runtime.sysmon", "runtime.retake", "runtime.netpoll",
		"runtime.poll_runtime_pollWait", "runtime.poll_runtime_pollReset", "runtime.runq", "runtime.globrunq", "runtime.execute",
		"runtime.goexit0", "runtime.gdestroy", "runtime.gfput", "runtime.gfget", "runtime.newproc", "runtime.sema", "runtime.chan",
		"runtime.closechan", "runtime.select", "runtime.send", "runtime.recv", "runtime.exitsyscall", "runtime.entersyscall",
		"runtime.reentersyscall", "runtime.casgstatus", "runtime.mcall", "runtime.mstart", "runtime.mPark", "runtime.resetspinning",
		"runtime.steal", "runtime.handoffp", "runtime.acquirep", "runtime.releasep", "runtime.injectglist", "runtime.checkRunqs",
		"sync.runtime_", "internal/sync.runtime_", "internal/poll.runtime_Sem", "internal/poll.runtime_pollWait",
	}},
	{catAllocation, []string{
		"runtime.malloc", "runtime.newobject", "runtime.growslice", "runtime.makeslice", "runtime.makechan", "runtime.nextFree",
	}},
	{catNet, []string{"net.", "internal/poll.", "uwgate/gateway/socket.", "syscall.", "golang.org/x/sys/unix."}},
	{catCodec, []string{"uwgate/uwsgi."}},
	{catPolicy, []string{"uwgate/gateway/policy."}},
	{catBackends, []string{"uwgate/gateway/backend."}},
	{catGateway, []string{"uwgate/gateway.", "uwgate/gateway/"}},
	{catStore, []string{"uwgate/cachewriter.", "github.com/bradfitz/gomemcache/"}},
	{catLog, []string{"go.uber.org/zap", "main.(*sink", "main.(*logFile"}},
	{catRelay, []string{"main.(*relay", "main.pass"}},
}

// systemCalls maps prefixes of names in lower case to system calls: syscall.read,
// unix.Read and our own (*Conn).Read make the same call.
var systemCalls = []struct{ begins, category string }{
	{"accept", "accept4(2)"}, {"bind", "bind(2)"}, {"close", "close(2)"}, {"connect", "connect(2)"}, {"epollctl", "epoll_ctl(2)"},
	{"epollwait", catScheduling}, {"fcntl", "fcntl(2)"}, {"getpeername", "getpeername(2)"}, {"getsockname", "getsockname(2)"},
	{"getsockopt", "getsockopt(2)"}, {"ioctl", "ioctl(2)"}, {"openat", "openat(2)"}, {"pipe2", "pipe2(2)"}, {"read", "read(2)"},
	{"recv", "recv(2)"}, {"send", "send(2)"}, {"setsockopt", "setsockopt(2)"}, {"shutdown", "shutdown(2)"}, {"socket", "socket(2)"},
	{"splice", "splice(2)"}, {"write", "write(2)"},
}

// splitOf puts each sample into one category.
func splitOf(p *profile.Profile) split {
	s := make(split)
	var sum float64
	for _, sample := range p.Sample {
		value := float64(sample.Value[len(sample.Value)-1])
		s[categorise(stackOf(sample))] += value
		sum += value
	}
	for category := range s {
		s[category] /= sum
	}
	return s
}

// stackOf returns the names of a sample's functions, the innermost first.
func stackOf(s *profile.Sample) []string {
	var stack []string
	for _, location := range s.Location {
		for _, line := range location.Line {
			if line.Function != nil {
				stack = append(stack, line.Function.Name)
			}
		}
	}
	return stack
}

// categorise returns the category of a stack. Its innermost function comes first.
func categorise(stack []string) string {
	if call, ok := systemCall(stack); ok {
		return call
	}
	for _, function := range stack {
		if category, ok := categoryOf(function); ok {
			return category
		}
	}
	return catRest
}

func categoryOf(function string) (category string, ok bool) {
	begins := func(name string) bool { return strings.HasPrefix(function, name) }
	for _, p := range kinds {
		if slices.ContainsFunc(p.names, begins) {
			return p.category, true
		}
	}
	return "", false
}

// systemCall returns the system call in which a stack ends, if it does. The packages
// of system calls have it in their functions' names, or their caller has.
func systemCall(stack []string) (category string, ok bool) {
	if len(stack) == 0 || !entersKernel(stack[0]) {
		return "", false
	}
	caller := ""
	for _, function := range stack {
		pkg, name := cutFunction(function)
		if caller == "" && !isOfCalls(pkg) {
			caller = pkg
		}
		if caller != "" && pkg != caller {
			break
		}
		if category, ok := callNamed(name); ok {
			return category, true
		}
	}
	return catOtherCalls, true
}

// entersKernel reports whether a function is the last one before the kernel.
func entersKernel(function string) bool {
	pkg, name := cutFunction(function)
	return isOfCalls(pkg) && strings.Contains(strings.ToLower(name), "syscall")
}

func isOfCalls(pkg string) bool {
	return pkg == "syscall" || pkg == "golang.org/x/sys/unix" || strings.HasPrefix(pkg, "internal/runtime/syscall")
}

func callNamed(name string) (category string, ok bool) {
	name = strings.ToLower(name)
	for _, c := range systemCalls {
		if strings.HasPrefix(name, c.begins) {
			return c.category, true
		}
	}
	return "", false
}

// cutFunction cuts uwgate/gateway/backend.(*Pool).Dial into the package and the name
// of the function or method. For a function inside another, such as f.func1, the name
// is that of the outer one.
func cutFunction(function string) (pkg, name string) {
	function, _, _ = strings.Cut(function, "[") // types may have slashes, too
	slash := strings.LastIndexByte(function, '/') + 1
	pkg, name, _ = strings.Cut(function[slash:], ".")
	if _, method, ok := strings.Cut(name, ")."); ok {
		name = method
	}
	name, _, _ = strings.Cut(name, ".")
	return function[:slash] + pkg, name
}
