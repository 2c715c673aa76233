package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"uwgate/cmd/uwgate/settings"
)

// A stuck destination takes nothing until it is let go.
type stuck struct {
	goOn chan struct{}
	mu   sync.Mutex // guards got
	got  bytes.Buffer
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.goOn
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(b)
}

func (s *stuck) Reopen() error { return nil }

func TestSinkDropsWhatASlowDestinationCannotTake(t *testing.T) {
	dst := &stuck{goOn: make(chan struct{})}
	s := newSink(dst)
	line := []byte(strings.Repeat("x", 1<<16-1) + "\n")
	const lines = 3 * sinkBudget >> 16
	for range lines {
		s.Write(line) // never blocks, or the test would
	}
	close(dst.goOn)
	s.close(time.Minute)
	got := dst.got.String()
	kept := strings.Count(got, string(line))
	if kept < sinkBudget>>16-1 || kept > 2*sinkBudget>>16 {
		t.Errorf("%d lines written, want about the budget's %d", kept, sinkBudget>>16)
	}
	if !strings.Contains(got, "log lines dropped") {
		t.Error("no line says how many lines were dropped")
	}
}

func TestSinkWritesEverythingBeforeItCloses(t *testing.T) {
	dst := &stuck{goOn: make(chan struct{})}
	close(dst.goOn)
	s := newSink(dst)
	for range 1000 {
		s.Write([]byte("line\n"))
	}
	s.close(time.Minute)
	s.Write([]byte("late\n"))
	if got := dst.got.String(); got != strings.Repeat("line\n", 1000) {
		t.Errorf("%d bytes written, want 1000 lines", len(got))
	}
}

// A ledger is a destination that notes what was done to it.
type ledger struct {
	mu   sync.Mutex // guards done
	done []string
}

func (l *ledger) Write(b []byte) (int, error) {
	l.note(string(b))
	return len(b), nil
}

func (l *ledger) Reopen() error {
	l.note("reopened")
	return nil
}

func (l *ledger) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, what)
}

// want waits until the sink has nothing to do before time goes on.
func (l *ledger) want(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.done, want) {
		t.Errorf("%s: %q, want %q", when, l.done, want)
	}
	l.done = nil
}

func TestSinkGathersLinesThatComeInQuickSuccession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dst ledger
		s := newSink(&dst)
		write := func(line string) { s.Write([]byte(line)) }
		burst := func() {
			for range sinkBurst {
				write("a")
				dst.want(t, "one of the first lines", "a")
			}
		}
		burst()
		write("b")
		dst.want(t, "a line at once after them")
		time.Sleep(sinkPause - 1)
		write("c")
		dst.want(t, "one before the pause is over")
		time.Sleep(time.Nanosecond)
		dst.want(t, "when the pause is over", "bc")
		time.Sleep(sinkPause)
		burst()
		time.Sleep(sinkPause)
		write("d")
		dst.want(t, "a line after a pause", "d")

		time.Sleep(sinkPause)
		burst()
		write("e")
		s.reopen()
		dst.want(t, "an order to reopen", "e", "reopened")
		s.reopen()
		dst.want(t, "an order beside no line", "reopened")
		write("f")
		dst.want(t, "a line behind orders")
		time.Sleep(sinkPause)
		dst.want(t, "and a pause later", "f")

		time.Sleep(sinkPause)
		burst()
		many := strings.Repeat("g", sinkBudget/4)
		write(many)
		dst.want(t, "many lines")
		write("h")
		dst.want(t, "too many", many+"h")
		write("i")
		s.close(time.Minute)
		dst.want(t, "the end", "i")
	})
}

func TestLogFilesAreReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "uwgate.log")
	var screen bytes.Buffer
	b, err := openLogs(settings.Log{Sinks: []settings.Sink{{Name: "file", Path: path}, {Name: "stdout", Console: true}}}, &screen, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.access.Info("one", zap.Int("n", 1))
	if err := b.reopen(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	b.access.Info("two")
	if err := b.reopen(); err != nil {
		t.Fatal(err)
	}
	b.access.Info("three")
	b.close()
	for name, want := range map[string][]string{path + ".1": {"one", "two"}, path: {"three"}} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); lines != len(want) || !strings.Contains(string(text), `"msg":"`+want[0]+`"`) {
			t.Errorf("%s holds %s, want %v", filepath.Base(name), text, want)
		}
	}
	if !strings.Contains(screen.String(), "\tinfo\tone\t{\"n\": 1}\n") {
		t.Errorf("console: %q", screen.String())
	}
}

// Access lines are never sampled; what repeats beside them is.
func TestOnlyTheAccessLogIsWhole(t *testing.T) {
	var out bytes.Buffer
	b, err := openLogs(settings.Log{Sinks: []settings.Sink{{Name: "stdout"}}}, &out, nil)
	if err != nil {
		t.Fatal(err)
	}
	const n = 500
	for range n {
		b.access.Info("request")
		b.log.Warn("again")
	}
	b.close()
	if got := strings.Count(out.String(), `"msg":"request"`); got != n {
		t.Errorf("%d access lines, want %d", got, n)
	}
	if got := strings.Count(out.String(), `"msg":"again"`); got >= n {
		t.Errorf("%d equal warnings, want fewer than %d", got, n)
	}
}
