package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A disk has room for some bytes.
type disk struct {
	room int
	got  bytes.Buffer
}

func (d *disk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	d.got.Write(b[:n])
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// What a full disk does not take is counted, and the log says so once when there is room
// again, on a line of its own.
func TestOutputSaysWhatAFullDiskLost(t *testing.T) {
	d := &disk{room: 14}
	o := output{dst: d}
	lost := o.write([]byte("line 1\n")) // fits
	lost += o.write([]byte("line 2\nline 3\n"))
	lost += o.write([]byte("line 4\n"))
	lost += o.write([]byte("line 5\n"))
	if lost != 3 {
		t.Errorf("%d lines lost, want 3", lost)
	}
	d.room = 1000
	if lost := o.write([]byte("line 6\n")); lost != 0 {
		t.Errorf("%d lines lost with room", lost)
	}
	o.write([]byte("line 7\n"))
	want := "line 1\nline 2\n" + `{"level":"warn","msg":"log lines lost: this sink could not be written","lines":3,"error":"no space left on device"}` + "\nline 6\nline 7\n"
	if got := d.got.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A line that was cut is ended before the next.
func TestOutputEndsALineThatWasCut(t *testing.T) {
	d := &disk{room: 3}
	o := output{dst: d}
	if lost := o.write([]byte("line 1\nline 2\n")); lost != 2 {
		t.Errorf("%d lines lost, want 2", lost)
	}
	d.room = 1000
	o.write([]byte("line 3\n"))
	if got := d.got.String(); !strings.HasPrefix(got, "lin\n{") || !strings.HasSuffix(got, "}\nline 3\n") {
		t.Errorf("got %q", got)
	}
}

// The reader of a pipe goes. The lines are counted.
func TestSinkCountsWhatNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := newSink(nopReopener{w})
	io.WriteString(s, "read\n")
	b := make([]byte, 5)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	r.Close()
	io.WriteString(s, "lost\n")
	io.WriteString(s, "lost, too\n")
	s.close(time.Minute)
	if n := s.lost.Load(); n != 2 {
		t.Errorf("%d lines lost, want 2", n)
	}
}
