package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var linesOfDumps = []struct{ line, want string }{
	{"key=%2Fa%2520b exp=1795502884 la=1795502584 cas=12 fetch=no cls=4 size=118", "/a%20b"},
	{"key=uwg%3Ap%3A-_x exp=-1 la=0 cas=1 fetch=yes cls=1 size=1 new=1", "uwg:p:-_x"},
	{"key=%C3%A9%7F exp=-1", "\u00e9\x7f"},
	{"key=a%20b exp=-1", ""}, // no wire key
	{"key=%zz exp=-1", ""},
}

func TestDumpLine(t *testing.T) {
	for _, tt := range linesOfDumps {
		key, err := parseDumpLine([]byte(tt.line))
		if err != nil {
			t.Errorf("%q: %v", tt.line, err)
		}
		wire, ok := unescapeDump(key)
		if ok != (tt.want != "") || ok && string(wire) != tt.want {
			t.Errorf("%q: %q, %v, want %q", tt.line, wire, ok, tt.want)
		}
	}
	for _, bad := range []string{"", "key=a", "key= exp=1", "exp=1 key=a", "key=a exp=1 key=b", "key=abkey=c exp=1", "key=a ex", "key=a exp=1 size=12key=b", "ND exp=1", "key=a  exp=1"} {
		if key, err := parseDumpLine([]byte(bad)); !errors.Is(err, errDump) {
			t.Errorf("%q is parsed as %q, %v", bad, key, err)
		}
	}
}

func FuzzDumpLine(f *testing.F) {
	for _, tt := range linesOfDumps {
		f.Add(tt.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		key, err := parseDumpLine([]byte(line))
		if err != nil {
			return
		}
		b, ok := unescapeDump(key)
		if !ok {
			return
		}
		wire := string(b)
		if CheckKey(wire) != nil {
			t.Errorf("%q is no wire key", wire)
		}
		if raw, ok := unescapeKey(wire); ok && Escape(raw) != wire {
			t.Errorf("%q is escaped as %q", raw, Escape(raw))
		}
	})
}

func TestUnescapeKey(t *testing.T) {
	for _, key := range []string{"", "k", "a b%\n\x00\x7f\xc3\xa9", "%41", "%%"} {
		if got, ok := unescapeKey(Escape(key)); !ok || got != key {
			t.Errorf("%q becomes %q, %v", key, got, ok)
		}
	}
	for _, wire := range []string{"%", "%2", "%41", "%0a", "%zz"} { // nginx does not send these
		if got, ok := unescapeKey(wire); ok {
			t.Errorf("%q becomes %q", wire, got)
		}
	}
}

// testDump lists keys of all sorts. It waits for other lists.
func testDump(t *testing.T, m memcached) {
	want := []string{"/a%20b", "k\x7f\xc3\xa9", strings.Repeat("%", 1) + "25", strings.Repeat("x", 250)}
	for i := range 2000 {
		want = append(want, fmt.Sprint("key", i))
	}
	for _, key := range want {
		ask(t, m, fmt.Sprintf("set %s 0 0 1\r\nx", key), "")
	}
	slices.Sort(want)
	results := make(chan []string)
	const lists = 4
	for range lists {
		go func() {
			var got []string
			err := dump(context.Background(), m.address(), time.Minute, func(key []byte) error {
				got = append(got, string(key))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			slices.Sort(got)
			results <- got
		}()
	}
	for range lists {
		if got := <-results; !slices.Equal(got, want) {
			t.Errorf("got %d keys, want %d", len(got), len(want))
		}
	}
}

func TestDumpFails(t *testing.T) {
	const line = "key=k exp=-1 la=1 cas=1 fetch=no cls=1 size=1\n"
	tests := []struct {
		name string
		list act
		end  act
		want error
	}{
		{"not allowed", act{say: "ERROR metadump not allowed\r\n"}, act{}, errNoDump},
		{"unknown", act{say: "ERROR\r\n"}, act{}, errNoDump},
		{"unknown word", act{say: "CLIENT_ERROR bad command line format\r\n"}, act{}, errNoDump},
		{"damaged", act{say: line + "key=kkey=l exp=-1\nEND\r\n"}, act{}, errDump},
		{"overwritten", act{say: line + "END\r\nxp=-1 la=1\n"}, act{}, errDump},
		{"ends early", act{say: line, hangUp: true}, act{}, nil},
		{"ends with the last one", act{say: line + "END\r\n"}, act{hangUp: true}, nil},
		{"nonsense in the end", act{say: line + "END\r\n"}, act{say: "ERROR\r\n"}, errDump},
	}
	for _, tt := range tests {
		f := startFake(t)
		f.on(func(command string) act {
			switch {
			case strings.HasPrefix(command, "lru_crawler"):
				return tt.list
			case command == "mn":
				return tt.end
			}
			return act{}
		})
		err := dump(t.Context(), f.addr, time.Minute, func([]byte) error { return nil })
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// A list waits while memcached lists for others, and ends with its ctx.
func TestDumpBusy(t *testing.T) {
	f := startFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	f.on(func(command string) act {
		if strings.HasPrefix(command, "lru_crawler") {
			if asked++; asked == 3 || asked == 7 {
				cancel()
			}
			if asked != 4 {
				return act{say: "BUSY currently processing crawler request\r\n"}
			}
		}
		return act{}
	})
	visit := func([]byte) error { return nil }
	if err := dump(ctx, f.addr, time.Minute, visit); !errors.Is(err, context.Canceled) {
		t.Errorf("after ctx: %v", err)
	}
	if err := dump(t.Context(), f.addr, time.Minute, visit); err != nil {
		t.Errorf("after it was busy: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	if err := dump(ctx, f.addr, time.Minute, visit); !errors.Is(err, context.Canceled) {
		t.Errorf("after ctx: %v", err)
	}
}
