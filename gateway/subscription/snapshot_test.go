package subscription

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"uwgate/uwsgi"
)

// The servers in the file are members again, unless they are too old.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "state.json")
		begin := func(change func(*Registry)) *served {
			s := &Registry{Snapshot: file, Admission: Admission{AllowModifiers: [][2]uint8{{5, 0}}}}
			if change != nil {
				change(s)
			}
			return serveInBubble(s)
		}
		s := begin(nil)
		s.send(here, datagram(t, uwsgi.Subscription{Key: "a", Address: "127.0.0.1:1", Cores: 4, Weight: 2, Modifier1: 5}))
		time.Sleep(10 * time.Second)
		s.send(here, hello(t, "b", "127.0.0.1:2"))
		if _, err := readSnapshot(file); err != nil {
			t.Errorf("after ten seconds: %v", err)
		}
		s.stop()
		time.Sleep(6 * time.Second) // a is 16 s old, b 6 s

		s = begin(nil)
		wantAddrs(t, s.Registry, "a", "127.0.0.1:1")
		if got := s.Pool("a").Stats()[0]; got.Weight != 2 || got.Cores != 4 || got.Modifier1 != 5 || !got.Unproven {
			t.Errorf("restored %+v, want weight 2, 4 cores, modifier1 5, unproven", got)
		}
		time.Sleep(16 * time.Second)
		synctest.Wait()
		wantAddrs(t, s.Registry, "b", "127.0.0.1:2")
		s.send(here, hello(t, "b", "127.0.0.1:2"))
		time.Sleep(time.Second)
		synctest.Wait()
		wantAddrs(t, s.Registry, "a")
		s.stop()

		s = begin(func(s *Registry) { s.Keys = []string{"c"} })
		wantAddrs(t, s.Registry, "b")
		s.stop()
		s = begin(nil)
		s.send(here, hello(t, "b", "127.0.0.1:2"))
		s.stop()
		s = begin(func(s *Registry) { s.PublicKeys = "testdata" })
		wantAddrs(t, s.Registry, "b")
		s.stop()
		s = begin(nil)
		s.send(here, hello(t, "b", "127.0.0.1:2"))
		s.stop()
		time.Sleep(17 * time.Second)
		s = begin(nil)
		wantAddrs(t, s.Registry, "b")
		s.stop()
	})
}

// The file is written at most once a second. While nothing changes, it is written often
// enough to stay younger than the tolerance.
func TestSnapshotIsWrittenSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "state.json")
		s := serveInBubble(&Registry{Snapshot: file})
		defer s.stop()
		writes := 0
		var last os.FileInfo
		look := func() {
			synctest.Wait()
			if info, err := os.Stat(file); err == nil && (last == nil || !os.SameFile(info, last)) {
				writes, last = writes+1, info
			}
		}
		for i := range 100 {
			s.send(here, hello(t, "a", fmt.Sprintf("127.0.0.1:%d", 1+i)))
			time.Sleep(50 * time.Millisecond)
			look()
		}
		if writes < 4 || writes > 5 {
			t.Errorf("%d writes in five seconds of changes, want 4 or 5", writes)
		}
		time.Sleep(10 * time.Second)
		look()
		writes = 0
		for range 60 {
			s.send(here, hello(t, "a", "127.0.0.1:100"))
			time.Sleep(time.Second)
			look()
			snap, err := readSnapshot(file)
			if err != nil || len(snap.Nodes) == 0 || time.Since(snap.Nodes[0].Seen) > 20*time.Second {
				t.Fatalf("snapshot %+v, %v: too old", snap, err)
			}
		}
		if writes < 10 || writes > 25 {
			t.Errorf("%d writes in a minute without news, want about 14", writes)
		}
		files, _ := filepath.Glob(file + "*")
		if len(files) != 1 {
			t.Errorf("files %q, want one", files)
		}
	})
}

func TestSnapshotKeepsSignedTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := writePublicKey(t, "a.pem")
		file := filepath.Join(dir, "state.json")
		sub := uwsgi.Subscription{Key: "a", Address: "127.0.0.1:1"}
		first := signed(t, sub, time.Now())
		s := serveInBubble(&Registry{Snapshot: file, Admission: Admission{PublicKeys: dir}})
		s.send(here, first)
		sub.Leave = true
		s.send(here, signed(t, sub, time.Now().Add(time.Second)))
		s.stop()
		s = serveInBubble(&Registry{Snapshot: file, Admission: Admission{PublicKeys: dir}})
		defer s.stop()
		s.send(here, first)
		if got := s.Stats(); got.Refused[RefusedReplay] != 1 || got.Nodes != 0 {
			t.Errorf("replay after a restart: %+v, want it refused", got)
		}
	})
}

func TestBrokenSnapshot(t *testing.T) {
	for name, text := range map[string]string{
		"empty":        "",
		"cut off":      `{"nodes":[{"key":"a"`,
		"other":        `[1,2]`,
		"modifier":     `{"nodes":[{"key":"a","address":"127.0.0.1:1","modifier1":256}]}`,
		"bad address":  `{"nodes":[{"key":"a","address":"nowhere","seen":"2100-01-01T00:00:00Z"}]}`,
		"empty object": `{}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "state.json")
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				s := serveInBubble(&Registry{Snapshot: file})
				wantAddrs(t, s.Registry, "a")
				s.send(here, hello(t, "b", ":1"))
				s.stop()
				if snap, err := readSnapshot(file); err != nil || len(snap.Nodes) != 1 || snap.Nodes[0].Key != "b" {
					t.Errorf("written over it: %+v, %v", snap, err)
				}
			})
		})
	}
}

func FuzzSnapshot(f *testing.F) {
	f.Add(`{"nodes":[{"key":"a","address":"127.0.0.1:1","modifier1":5,"cores":4,"seen":"2100-01-01T00:00:00Z"}]}`)
	f.Add(`{"nodes":[{"key":"a","address":"/run/a.sock","local":true,"signed":true,"seen":"2100-01-01T00:00:00Z"}],"signed":[{"key":"a","address":"@a","unix":4102444800}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		snap, err := parseSnapshot(strings.NewReader(text))
		if err != nil {
			return
		}
		s := &Registry{Admission: Admission{AllowModifiers: [][2]uint8{{5, 0}}}}
		s.restore(snap, time.Now())
		checkMembers(t, s)
	})
}

// A snapshot that cannot be written does not end Serve.
func TestSnapshotThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveInBubble(&Registry{Snapshot: filepath.Join(t.TempDir(), "no", "such", "dir")})
		s.send(here, hello(t, "a", ":1"))
		time.Sleep(15 * time.Second)
		wantAddrs(t, s.Registry, "a", "127.0.0.1:1")
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}
