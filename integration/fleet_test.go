package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// A fleet is a world with a second gateway. nginx sends it every other request.
type fleet struct {
	*world
	second    *stack.Process
	admin     string // the second one's
	accessLog string
}

// startFleet runs an application of testdata. edits are additional ones.
func startFleet(t *testing.T, app string, args []string, edits ...[2]string) *fleet {
	t.Helper()
	return startFleetOf(t, stack.Config{App: filepath.Join("testdata", app), Args: args, Edits: edits})
}

// startFleetOf runs the stack of a Config with a second gateway.
func startFleetOf(t *testing.T, cfg stack.Config) *fleet {
	t.Helper()
	dir, err := os.MkdirTemp("", "uwgate-fleet-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sockets := []string{filepath.Join(dir, "uwgate.sock"), filepath.Join(dir, "second.sock")}
	cfg.Conf, cfg.Dir, cfg.MemcachedArgs, cfg.UWSGIArgs = "recommended", dir, forCrowds, []string{"--socket-timeout", "60"}
	cfg.Args = append(slices.Clone(cfg.Args), "--fleet")
	cfg.Edits = append(slices.Clone(cfg.Edits), [2]string{"server unix:" + sockets[0] + " max_fails=0;", fmt.Sprintf("server unix:%s max_fails=0; server unix:%s max_fails=0;", sockets[0], sockets[1])})
	w := start(t, cfg)
	ports, err := stack.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{world: w, admin: ports[0], accessLog: filepath.Join(dir, "second.log")}
	command := slices.Clone(w.Uwgate.Command)
	if i := slices.Index(command, "--hits-listen"); i >= 0 {
		command = slices.Delete(command, i, i+2) // nginx tells the first one
	}
	for i, arg := range command {
		arg = strings.ReplaceAll(arg, sockets[0], sockets[1])
		arg = strings.ReplaceAll(arg, w.AccessLog, f.accessLog)
		command[i] = strings.ReplaceAll(arg, w.Admin, f.admin)
	}
	f.second = &stack.Process{Name: "second uwgate", Addr: "unix:" + sockets[1], LogFile: filepath.Join(dir, "second.err"),
		Command: command, Dir: dir, Ready: stack.Pongs, Env: stack.UwgateEnv()}
	if err := f.second.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.second.Stop(context.Background()) })
	return f
}

// settle waits until both gateways are idle.
func (f *fleet) settle() {
	f.t.Helper()
	f.world.settle()
	f.eventually("the second uwgate has nothing to do", func() bool { return f.isIdle(f.admin) })
}

// gathered is that of a world, for both gateways together. The leader at one of them
// waits for the lock of the other, and does not count as a follower.
func (f *fleet) gathered(requests, followers int) {
	f.t.Helper()
	var m string
	defer func() {
		if f.t.Failed() {
			f.t.Logf("%d requests, of which %d follow", sum(m, "uwgate_requests_in_flight"), sum(m, "uwgate_flight_followers"))
		}
	}()
	f.eventually(fmt.Sprint(requests, " requests, of which ", followers, " follow"), func() bool {
		m = f.metrics() + f.metricsOf(f.admin)
		return sum(m, "uwgate_requests_in_flight") == requests && sum(m, "uwgate_flight_followers") == followers
	})
}

// asked returns how many requests for a path reached the workers from both gateways.
func (f *fleet) asked(path string) (n int) {
	f.t.Helper()
	f.settle()
	for line := range strings.Lines(f.accessLogs()) {
		if strings.Contains(line, `"uri":"`+path+`"`) && !strings.Contains(line, `"backend":""`) {
			n++
		}
	}
	return n
}

// accessLogs are those of both gateways.
func (f *fleet) accessLogs() (text string) {
	f.t.Helper()
	for _, path := range []string{f.AccessLog, f.accessLog} {
		log, err := os.ReadFile(path)
		if err != nil {
			f.t.Fatal(err)
		}
		text += string(log)
	}
	return text
}

// found is the reason for a page that another gateway has fetched.
const found = "found"

// The workers get one request, whichever gateway nginx uses.
func TestFleetAndACrowd(t *testing.T) {
	f := startFleet(t, "crowd", unhurried)
	done := make(chan crowd)
	go func() { done <- f.knock(visitors, "/held") }()
	f.gathered(visitors, visitors-2)
	f.open()
	(<-done).wantAll(t, "<p>/held for all</p>")
	if n := f.asked("/held"); n != 1 {
		t.Errorf("the workers were asked %d times, want once", n)
	}
	if log := f.accessLogs(); !strings.Contains(log, `"reason":"`+found+`"`) {
		t.Error("the gateway that did not fetch the page has not found it in memcached")
	}
	c := f.crowd(100, func(i int) page { return f.get("/private", fmt.Sprint("X-User: ", i)) })
	for i, p := range c.pages {
		if want := fmt.Sprintf("<p>/private for %d</p>", i); p.body != want {
			t.Errorf("visitor %d got %q, %v", i, p.body, p.err)
		}
	}
}

// fetching returns the gateway that has a request at a worker, or nil.
func (f *fleet) fetching() *stack.Process {
	for admin, p := range map[string]*stack.Process{f.Admin: f.Uwgate, f.admin: f.second} {
		if hasNonZero(f.metricsOf(admin), "uwgate_backend_requests_in_flight") {
			return p
		}
	}
	return nil
}

// A gateway is killed while it fetches a page. The others wait no longer than its lock
// lives.
func TestFleetLosesOne(t *testing.T) {
	f := startFleet(t, "crowd", unhurried)
	done := make(chan crowd)
	start := time.Now()
	go func() { done <- f.crowd(100, func(int) page { return f.get("/cold") }) }()
	var holder *stack.Process
	f.eventually("the page is being fetched", func() bool {
		holder = f.fetching()
		return holder != nil
	})
	if err := holder.Kill(); err != nil {
		t.Fatal(err)
	}
	c := <-done
	for i, p := range c.pages {
		if p.status != 200 || p.body != "<p>/cold for all</p>" {
			t.Errorf("visitor %d got %d %q, %v", i, p.status, p.body, p.err)
		}
	}
	took := time.Since(start)
	t.Logf("the last one had it in %v", took)
	// The lock lives for three seconds and the page takes one. If the lock did not
	// expire, visitors would wait for --coalesce-wait.
	const most = 30 * time.Second
	if n := strings.Count(f.UWSGI.Log(), "] GET /cold =>"); n > 2 || took > most {
		t.Errorf("the workers were asked %d times, the last visitor was served in %v", n, took)
	}
}
