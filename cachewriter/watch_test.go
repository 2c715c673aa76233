package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// watched is a context that bounds a test's wait.
func watched(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestWatch(t *testing.T) {
	srv := startReal(t, lookMemcached(t))
	ctx := watched(t)
	other := NewDirect(srv.address(), time.Second)
	defer other.Close()
	if added, err := other.Add(ctx, "mine:/before", []byte("x"), 0, time.Minute); !added || err != nil {
		t.Fatal(added, err)
	}
	w, err := Watch(ctx, srv.address(), func(key string) bool { return strings.HasPrefix(key, "mine:") })
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	get := func(key string) {
		t.Helper()
		if _, err := other.Get(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	get("mine:/before")
	get("theirs:/before")
	get("mine:/a%20b c\xff\x7f\"=?&")
	if _, err := other.Add(ctx, "mine:/written", []byte("x"), 0, time.Minute); err != nil {
		t.Fatal(err)
	}
	get("mine:/written")
	if err := w.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	want := []Lookup{
		{"mine:/before", true, false},
		{"mine:/a%20b c\xff\x7f\"=?&", false, false},
		{"mine:/written", false, true},
		{"mine:/written", true, false},
	}
	if got := w.Lookups(); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if w.Lost() != 0 {
		t.Errorf("%d lost", w.Lost())
	}
	srv.stop()
	if err := w.Settle(ctx); err == nil {
		t.Error("no error from Settle after the end of the server")
	}
}

// Lookups before Settle are seen, whichever thread of memcached served them.
func TestWatchSettles(t *testing.T) {
	srv := startReal(t, lookMemcached(t))
	ctx := watched(t)
	w, err := Watch(ctx, srv.address(), func(key string) bool { return strings.HasPrefix(key, "k") })
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for i := range 40 {
		d := NewDirect(srv.address(), time.Second) // each on a thread of its own
		if _, err := d.Get(ctx, fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
		d.Close()
		if i%8 != 7 {
			continue
		}
		if err := w.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		if n := len(w.Lookups()); n != i+1 {
			t.Fatalf("%d lookups seen of %d", n, i+1)
		}
	}
}

func TestWatchRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		act  act
		want string
	}{
		{"unknown", act{say: "ERROR\r\n"}, `"ERROR"`},
		{"switched off", act{say: "CLIENT_ERROR watch commands not allowed\r\n"}, "not allowed"},
		{"a proxy hangs up", act{hangUp: true}, "EOF"},
		{"a proxy is silent", act{hold: make(chan struct{})}, "out of patience"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			f.on(func(string) act {
				if tt.act.hold != nil {
					cancel(errors.New("out of patience"))
				}
				return tt.act
			})
			_, err := Watch(ctx, f.addr, nil)
			if !errors.Is(err, errNoWatch) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want ErrNoWatch with %q", err, tt.want)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		_, err := Watch(t.Context(), unixPrefix+filepath.Join(t.TempDir(), "none"), nil)
		if err == nil || errors.Is(err, errNoWatch) {
			t.Errorf("got %v, want an error that is not ErrNoWatch", err)
		}
	})
}

// A memcached that logs more than is recorded, or that says that it skipped lines.
func TestWatchLoses(t *testing.T) {
	f := startFake(t)
	var b strings.Builder
	b.WriteString("OK\r\nskipped=3\nnonsense\n")
	for i := range maxKept + 2 {
		fmt.Fprintf(&b, "type=item_get key=k%d status=found\n", i)
	}
	f.on(onCommand("watch", act{say: b.String(), hangUp: true}))
	w, err := Watch(watched(t), f.addr, func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	<-w.done
	w.Close()
	if n := len(w.Lookups()); n != maxKept || w.Lost() != 5 {
		t.Errorf("%d kept, %d lost; want %d and 5", n, w.Lost(), maxKept)
	}
	if err := w.Settle(watched(t)); err == nil {
		t.Error("no error from Settle on a watch that has ended")
	}
}

func TestParseWatchLine(t *testing.T) {
	const line = "ts=1795502884.403992 gid=2 type=%s key=%s status=%s clsid=1 cfd=24 size=2\n"
	for _, tt := range []struct {
		name, line string
		want       watchEvent
		ok         bool
	}{
		{"found", fmt.Sprintf(line, "item_get", "nope", "found"), watchEvent{key: "nope", conn: "24", found: true}, true},
		{"not found", fmt.Sprintf(line, "item_get", "nope", "not_found"), watchEvent{key: "nope", conn: "24"}, true},
		{"escaped by nginx, encoded by memcached", fmt.Sprintf(line, "item_get", "%2Fa%252520b", "found"), watchEvent{key: "/a%20b", conn: "24", found: true}, true},
		{"store", fmt.Sprintf(line, "item_store", "k", "stored cmd=set ttl=60"), watchEvent{key: "k", conn: "24", store: true}, true},
		{"before 1.5.20", "ts=1.2 gid=1 type=item_get key=k status=found clsid=1\n", watchEvent{key: "k", found: true}, true},
		{"skipped", "skipped=12\n", watchEvent{skipped: 12}, true},
		{"skipped nonsense", "skipped=many\n", watchEvent{}, false},
		{"eviction", "ts=1.2 gid=1 type=eviction key=k fetch=no\n", watchEvent{}, false},
		{"no key", "type=item_get status=found\n", watchEvent{}, false},
		{"not an escape", "type=item_get key=%2 status=found\n", watchEvent{}, false},
		{"a key that nginx never asks for", "type=item_get key=50%25 status=found\n", watchEvent{}, false},
		{"empty", "\n", watchEvent{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := parseWatchLine(tt.line)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("got %+v, %v; want %+v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func FuzzParseWatchLine(f *testing.F) {
	f.Add("ts=1.2 gid=2 type=item_get key=%2Fa%252520b status=found clsid=1 cfd=24 size=2\n")
	f.Add("skipped=12\n")
	f.Add("type=item_store key=%")
	f.Fuzz(func(t *testing.T, line string) {
		e, ok := parseWatchLine(line)
		if !ok || e.skipped > 0 {
			return
		}
		// The parsed line, written as memcached writes it, must be parsed as the same.
		again := fmt.Sprintf("type=item_get key=%s status=found", url.QueryEscape(Escape(e.key)))
		if len(again) > maxWatchLine || strings.Contains(again, "+") {
			return
		}
		if back, ok := parseWatchLine(again); !ok || back.key != e.key {
			t.Errorf("%q gave %q; that, written again, %q, %v", line, e.key, back.key, ok)
		}
	})
}

func TestDirect(t *testing.T) {
	testDirect := func(t *testing.T, srv memcached) {
		ctx := watched(t)
		d := NewDirect(srv.address(), time.Second)
		defer d.Close()
		const key = "k:/a b%20\x7f"
		for i, want := range []bool{true, false} {
			added, err := d.Add(ctx, key, []byte("value\r\nEND\r\n"), 2, time.Minute)
			if added != want || err != nil {
				t.Errorf("add %d: %v, %v; want %v", i, added, err, want)
			}
		}
		item, err := d.Get(ctx, key)
		if err != nil || item == nil || string(item.Value) != "value\r\nEND\r\n" || item.Flags != 2 || item.Addr != srv.address() {
			t.Errorf("got %+v, %v", item, err)
		}
		for range 2 {
			if err := d.Delete(ctx, key); err != nil {
				t.Error(err)
			}
		}
		if item, err := d.Get(ctx, key); item != nil || err != nil {
			t.Errorf("after the delete: %+v, %v", item, err)
		}
		long := strings.Repeat("k", maxKeyLen+1)
		if _, err := d.Add(ctx, long, nil, 0, time.Minute); !errors.Is(err, ErrKeyTooLong) {
			t.Errorf("add of a long key: %v", err)
		}
		if _, err := d.Get(ctx, long); !errors.Is(err, ErrKeyTooLong) {
			t.Errorf("get of a long key: %v", err)
		}
		if err := d.Delete(ctx, long); !errors.Is(err, ErrKeyTooLong) {
			t.Errorf("delete of a long key: %v", err)
		}
	}
	t.Run("real", func(t *testing.T) { testDirect(t, startReal(t, lookMemcached(t))) })
	t.Run("gone", func(t *testing.T) {
		d := NewDirect(unixPrefix+filepath.Join(t.TempDir(), "none"), time.Second)
		if _, err := d.Add(watched(t), "k", nil, 0, 0); err == nil || !strings.Contains(err.Error(), "add on unix:") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not repeated", func(t *testing.T) {
		f := startFake(t)
		d := NewDirect(f.addr, time.Second)
		defer d.Close()
		if _, err := d.Get(watched(t), "k"); err != nil {
			t.Fatal(err)
		}
		f.on(onCommand("add", act{hangUp: true}))
		if added, err := d.Add(watched(t), "k", nil, 0, 0); added || err == nil || len(f.commands("add")) != 1 {
			t.Errorf("got %v, %v after %q; want one add, and that it is not known what became of it", added, err, f.commands("add"))
		}
	})
	t.Run("refused", func(t *testing.T) {
		f := startFake(t)
		f.on(onCommand("add", act{say: "SERVER_ERROR out of memory storing object\r\n"}))
		d := NewDirect(f.addr, time.Second)
		defer d.Close()
		if _, err := d.Add(watched(t), "k", nil, 0, 0); !errors.Is(err, ErrRefused) {
			t.Errorf("got %v, want ErrRefused", err)
		}
	})
}
