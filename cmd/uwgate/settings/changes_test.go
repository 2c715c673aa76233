package settings

import (
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
		return &Parts{Ring: ring, Policy: &policy.Policy{Types: map[string]string{"txt": mediaType}}}
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
