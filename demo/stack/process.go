package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// StartTimeout and StopTimeout apply to contexts without a deadline. They are long enough
// for a busy machine. StopTimeout is shorter than uwgate's --drain-timeout, so that a
// drain that hangs is an error.
const (
	StartTimeout = time.Minute
	StopTimeout  = 25 * time.Second
)

// A Process is a program of a [Stack], or one of the caller's. Its methods are safe for
// concurrent use; Start and Stop wait for each other. Its fields do not change after the
// first start.
//
// While the program runs, one goroutine waits for its end.
type Process struct {
	Name    string // for people: "nginx", "memcached 2"
	Addr    string // address of its listener: "127.0.0.1:21101", "unix:/tmp/…/uwgate.sock"
	LogFile string // its output since the first start

	Command []string
	Env     []string // nil: that of this process
	Dir     string
	Ready   func(ctx context.Context, addr string) error // tried until it returns nil

	turn sync.Mutex // held by Start and Stop

	mu  sync.Mutex // guards run
	run *run       // the last one, nil before the first
}

// A run is one run of a process.
type run struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed after err is set
	err    error         // returned by cmd.Wait
}

// Start starts the program and returns when it is ready, or with an error after
// StartTimeout or ctx's deadline. It does nothing if the program runs.
func (p *Process) Start(ctx context.Context) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.Running() {
		return nil
	}
	r, err := p.launch()
	if err != nil {
		return fmt.Errorf("stack: start %s: %w", p.Name, err)
	}
	ctx, cancel := within(ctx, StartTimeout)
	defer cancel()
	if err := p.await(ctx, r); err != nil {
		if r.alive() {
			r.signal(syscall.SIGKILL)
		}
		<-r.exited
		return fmt.Errorf("stack: start %s: %w\n  command: %s\n%s", p.Name, err, strings.Join(p.Command, " "), p.tail(15))
	}
	return nil
}

func (p *Process) launch() (*run, error) {
	out, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(p.Command[0], p.Command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.Dir, p.Env, out, out
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &run{cmd: cmd, exited: make(chan struct{})}
	go r.wait()
	p.mu.Lock()
	p.run = r
	p.mu.Unlock()
	return r, nil
}

func (r *run) wait() {
	r.err = r.cmd.Wait()
	close(r.exited)
}

// await waits until the program is ready.
func (p *Process) await(ctx context.Context, r *run) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := p.Ready(ctx, p.Addr)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-r.exited:
			return fmt.Errorf("it ended at once (%s)", r.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no answer on %s: %w", p.Addr, err)
		}
	}
}

// Stop sends TERM and waits for the program's end, until StopTimeout or ctx's deadline.
// Then it kills the program and returns an error. An exit status other than 0 is an error,
// too. Stop does nothing if the program does not run.
func (p *Process) Stop(ctx context.Context) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	r := p.current()
	if !r.alive() {
		return nil
	}
	ctx, cancel := within(ctx, StopTimeout)
	defer cancel()
	r.cmd.Process.Signal(syscall.SIGTERM)
	r.signal(syscall.SIGCONT) // a paused program does not receive the TERM
	select {
	case <-r.exited:
	case <-ctx.Done():
		r.signal(syscall.SIGKILL)
		<-r.exited
		return fmt.Errorf("stack: stop %s: still there, killed: %w\n%s", p.Name, ctx.Err(), p.tail(15))
	}
	if r.err != nil {
		return fmt.Errorf("stack: stop %s: %w\n%s", p.Name, r.err, p.tail(15))
	}
	return nil
}

func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// Kill ends the program and its workers at once. It waits for their end, since they hold
// their sockets until then, for two seconds at most.
func (p *Process) Kill() error {
	r := p.current()
	if !r.alive() {
		return nil
	}
	if err := r.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("stack: kill %s: %w", p.Name, err)
	}
	<-r.exited
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		if r.signal(0) == syscall.ESRCH || isDead(r.cmd.Process.Pid) {
			break
		}
		<-tick.C
	}
	return nil
}

// Pause suspends the program and its workers. The kernel still accepts connections for
// it, but nothing responds.
func (p *Process) Pause() error {
	if err := p.signal("pause", syscall.SIGSTOP); err != nil {
		return err
	}
	if err := awaitPaused(p.PID()); err != nil {
		return fmt.Errorf("stack: pause %s: %w", p.Name, err)
	}
	return nil
}

// Resume continues a paused program.
func (p *Process) Resume() error { return p.signal("resume", syscall.SIGCONT) }

// Reopen sends USR1: uwgate and nginx reopen their log files.
func (p *Process) Reopen() error { return p.tell("reopen", syscall.SIGUSR1) }

// Reload sends HUP: uwgate and nginx reload their configurations.
func (p *Process) Reload() error { return p.tell("reload", syscall.SIGHUP) }

// tell sends a signal to the program's first process only.
func (p *Process) tell(act string, sig syscall.Signal) error {
	r := p.current()
	if !r.alive() {
		return fmt.Errorf("stack: %s %s: it does not run", act, p.Name)
	}
	return r.cmd.Process.Signal(sig)
}

// PID returns the number of the program's first process, which is also that of its process
// group; 0 if it has not been started.
func (p *Process) PID() int {
	r := p.current()
	if r == nil {
		return 0
	}
	return r.cmd.Process.Pid
}

// Running reports whether the program has been started and has not ended.
func (p *Process) Running() bool { return p.current().alive() }

// Log returns the program's output so far, of all its runs.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.LogFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	return string(b)
}

// tail returns the last n lines of the output, indented, for an error.
func (p *Process) tail(n int) string {
	text := strings.TrimSpace(p.Log())
	if text == "" {
		return "  it wrote nothing to " + filepath.Base(p.LogFile)
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-n):]
	return fmt.Sprintf("  its last words, from %s:\n    %s", filepath.Base(p.LogFile), strings.Join(lines, "\n    "))
}

func (p *Process) signal(act string, sig syscall.Signal) error {
	r := p.current()
	if !r.alive() {
		return fmt.Errorf("stack: %s %s: it does not run", act, p.Name)
	}
	if err := r.signal(sig); err != nil {
		return fmt.Errorf("stack: %s %s: %w", act, p.Name, err)
	}
	return nil
}

func (p *Process) current() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

func (r *run) alive() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal to the whole process group.
func (r *run) signal(sig syscall.Signal) error {
	return syscall.Kill(-r.cmd.Process.Pid, sig)
}
