//go:build linux

package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// burn uses CPU time in several threads.
const burn = `i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; /bin/true; `

// TestCPU compares the clock with the system's account of a process that has ended. Its
// children are in its group, as FastRouter's are.
func TestCPU(t *testing.T) {
	cmd := exec.Command("sh", "-c", "exec 3<&0; ("+burn+"echo; read x <&3) & "+burn+"echo; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	var lines [2]byte
	for i := range lines {
		if _, err := out.Read(lines[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	g, err := groupOf(cmd.Process.Pid)
	if err != nil || len(g) != 2 {
		t.Fatalf("group %v, %v; want two processes", g, err)
	}
	got, err := g.cpu()
	if err != nil {
		t.Fatal(err)
	}
	user, system, err := g.ticks()
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	cmd.Wait()
	if diff := (user + system - got).Abs(); diff > got/5+50*time.Millisecond {
		t.Errorf("%v of user and %v of system time, want %v of both", user, system, got)
	}
	want := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if diff := (got - want).Abs(); want < 20*time.Millisecond || diff > want/5 {
		t.Errorf("got %v, the system says %v", got, want)
	}
	if _, err := g.cpu(); err == nil {
		t.Error("a process that has ended has CPU time")
	}
}

func TestGroupField(t *testing.T) {
	for _, tt := range []struct {
		name, stat string
		want       int
		ok         bool
	}{
		{"plain", "4242 (uwsgi) S 1 4240 4239 0 -1", 4240, true},
		{"spaces and brackets in the name", "4242 (a) b (c) R) S 1 4240 4239 0 -1", 4240, true},
		{"cut", "4242 (uwsgi) S 1", 0, false},
		{"empty", "", 0, false},
	} {
		got, ok := groupField([]byte(tt.stat))
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %d, %v, want %d, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestTickFields(t *testing.T) {
	for _, tt := range []struct {
		name, stat   string
		user, system time.Duration
		ok           bool
	}{
		{"plain", "4242 (a) b) R 1 4240 4239 0 -1 4194304 90 0 0 0 150 25 7 8 20 0", 1500 * time.Millisecond, 250 * time.Millisecond, true},
		{"cut", "4242 (uwsgi) S 1 4240 4239 0 -1 4194304 90 0 0 0 150", 0, 0, false},
		{"empty", "", 0, 0, false},
	} {
		user, system, ok := tickFields([]byte(tt.stat))
		if user != tt.user || system != tt.system || ok != tt.ok {
			t.Errorf("%s: got %v, %v, %v, want %v, %v, %v", tt.name, user, system, ok, tt.user, tt.system, tt.ok)
		}
	}
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("4242 (a) b) R 1 4240 4239 0 -1 4194304 90 0 0 0 150 25 7 8 20 0"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		groupField(stat)
		tickFields(stat)
	})
}

func TestResident(t *testing.T) {
	got, ok := residentField([]byte("Name:\tuwgate\nVmHWM:\t   30000 kB\nVmRSS:\t   20480 kB\nThreads:\t9\n"))
	if !ok || got != 20<<20 {
		t.Errorf("got %d, %v, want 20 MiB", got, ok)
	}
	if _, ok := residentField([]byte("Name:\tkthreadd\n")); ok {
		t.Error("a process without memory has some")
	}
	before, err := group{os.Getpid()}.resident()
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.Repeat("x", 32<<20))
	after, err := group{os.Getpid()}.resident()
	if err != nil {
		t.Fatal(err)
	}
	if grown := after - before; grown < int64(len(text))/2 {
		t.Errorf("it has grown by %d bytes, want some %d", grown, len(text))
	}
}
