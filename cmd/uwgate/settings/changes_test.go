package settings

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
)

// A name of memcached's that stands for another address by now, and a file with other
// contents, are changes, though the settings' words are the same.
func TestWhatChangedBehindTheWords(t *testing.T) {
	behind := func(addr, mediaType string) *Parts {
		ring, err := cachewriter.NewRing(cachewriter.Consistent, cachewriter.Server{Name: "cache.example:11211", Addrs: []string{addr}})
		if err != nil {
			t.Fatal(err)
		}
		return &Parts{Ring: ring, Policy: &policy.Policy{Hits: policy.Hits{Types: map[string]string{"txt": mediaType}}}}
	}
	was := behind("192.0.2.1:11211", "text/plain")
	for _, tt := range []struct {
		name string
		is   *Parts
		want []string
	}{
		{"nothing", behind("192.0.2.1:11211", "text/plain"), nil},
		{"an address", behind("192.0.2.2:11211", "text/plain"), []string{"memcached"}},
		{"a type", behind("192.0.2.1:11211", "text/markdown"), []string{"mime-types"}},
		{"both", behind("192.0.2.2:11211", "text/markdown"), []string{"memcached", "mime-types"}},
		{"no store any more", &Parts{Policy: was.Policy}, []string{"memcached"}},
	} {
		if got := was.changedBehind(tt.is); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAbstractAddresses(t *testing.T) {
	for text, want := range map[string]bool{"@uwgate": true, "unix:@uwgate": true, "unix:/run/a.sock": false, "/run/a.sock": false, "127.0.0.1:9000": false, ":9000": false} {
		if a, err := parseAddress(text); err != nil || a.IsAbstract() != want {
			t.Errorf("%q: got %v, %v, want %v", text, a.IsAbstract(), err, want)
		}
	}
	if (Address{}).IsAbstract() {
		t.Error("no address is abstract")
	}
}

// A list is split in the same way wherever it comes from, at the start and at HUP: at line
// feeds only. So HUP finds no difference where there is none.
func TestListsAreSplitAlike(t *testing.T) {
	const list = "/a,/b\n /c d \n/e"
	want := []string{"/a,/b", "/c d", "/e"}
	path := filepath.Join(t.TempDir(), "uwgate.yaml")
	if err := os.WriteFile(path, []byte("exclude: \"/a,/b\\n /c d \\n/e\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		origin string
		args   []string
		env    bool
	}{
		{"command line", []string{"--exclude", list}, false},
		{"environment", nil, true},
		{"file", []string{"--config", path}, false},
	} {
		t.Run(tt.origin, func(t *testing.T) {
			if tt.env {
				t.Setenv("UWGATE_EXCLUDE", list)
			}
			set := parse(t, append(tt.args, "--backend", "127.0.0.1:1", "--memcached", "127.0.0.1:2")...)
			start, err := set.ReadParts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			again, err := set.ReadParts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(start.Pages.Exclude, want) || !slices.Equal(again.Pages.Exclude, want) {
				t.Errorf("at the start %q, at HUP %q, want %q", start.Pages.Exclude, again.Pages.Exclude, want)
			}
			if changed, later := start.Changes(again), start.NeedRestart(again); changed != nil || later != nil {
				t.Errorf("HUP changed %q and %q, want nothing", changed, later)
			}
		})
	}
}

// A value that is written in another way is the same.
func TestSameValues(t *testing.T) {
	read := func(args ...string) *Parts {
		p, err := partsOf(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a := read("--ttl", "10m", "--queue-timeout", "1m", "--idle-timeout", "1m", "--max-object", "1k")
	b := read("--ttl", "600s", "--queue-timeout", "60s", "--idle-timeout", "60s", "--max-object", "1024")
	if changed, later := a.Changes(b), a.NeedRestart(b); changed != nil || later != nil {
		t.Errorf("%q and %q differ, want nothing", changed, later)
	}
	c := read("--ttl", "601s", "--queue-timeout", "61s", "--idle-timeout", "61s", "--max-object", "1025")
	if changed, later := a.Changes(c), a.NeedRestart(c); !slices.Equal(changed, []string{"queue-timeout", "ttl", "max-object"}) || !slices.Equal(later, []string{"idle-timeout"}) {
		t.Errorf("%q and %q differ", changed, later)
	}
}
