package settings

import (
	"crypto"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSubscribeFlags(t *testing.T) {
	dir := t.TempDir()
	parts, err := partsOf(t, "--subscribe", "127.0.0.1:4040", "--subscribe", "unix:/run/sub.sock", "--subscribe-from", "10.0.0.0/8", "--subscribe-from", "fd00::1",
		"--subscribe-key", "*.example", "--subscribe-key", "x", "--subscribe-modifier", "5", "--subscribe-modifier", "7:2", "--subscribe-sign", "sha1:"+dir,
		"--subscribe-tolerance", "30s", "--subscribe-state", "state.json", "--queue-timeout", "3s",
		"--subscribe-max-keys", "5", "--subscribe-max-nodes", "6", "--subscribe-rate", "7", "--subscribe-allow-unix")
	if err != nil {
		t.Fatal(err)
	}
	s := parts.Subscriptions
	got := []any{parts.Settings.Subscribe.Addresses, s.Networks, s.Keys, s.AllowModifiers, s.PublicKeys, s.Digest, s.Tolerance, s.Snapshot, s.MaxKeys, s.MaxNodes, s.Rate, s.AllowUnix}
	want := []any{[]Address{{Text: "127.0.0.1:4040", Network: "tcp", Addr: "127.0.0.1:4040"}, {Text: "unix:/run/sub.sock", Network: "unix", Addr: "/run/sub.sock"}}, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::1/128")},
		[]string{"*.example", "x"}, [][2]uint8{{5, 0}, {7, 2}}, dir, crypto.SHA1, 30 * time.Second, "state.json", 5, 6, 7, true}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if p := s.Make("shop.example"); p.Name != "subscribed:shop.example" || p.QueueTimeout != 3*time.Second || p.Len() != 0 {
		t.Errorf("the pool of a key is %+v, want the flags' options and no server", p)
	}
	if parts.Pools.Subscribed == nil || parts.Pools.Announced == nil {
		t.Error("the pools do not know of the subscriptions")
	}
}

func TestNoSubscriptions(t *testing.T) {
	parts, err := partsOf(t)
	if err != nil || parts.Subscriptions != nil || parts.Pools.Subscribed != nil {
		t.Errorf("without --subscribe there is %+v, %v", parts.Subscriptions, err)
	}
}

func TestSubscribeRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ flag, value, want string }{
		{"subscribe", "127.0.0.1", "host:port"},
		{"subscribe-from", "10.0.0.0/33", "write a network"},
		{"subscribe-key", "[a", "write a host"},
		{"subscribe-key", "", "write a host"},
		{"subscribe-modifier", "256", "0 to 255"},
		{"subscribe-modifier", "7:", "0 to 255"},
		{"subscribe-modifier", "perl", "0 to 255"},
		{"subscribe-sign", "MD5:/", "write DIRECTORY, SHA1:DIRECTORY, SHA256:DIRECTORY or SHA512:DIRECTORY"},
		{"subscribe-sign", "/no/such/dir", "no directory"},
		{"subscribe-sign", file, "no directory"},
		{"subscribe-tolerance", "0s", "1ms or more"},
		{"subscribe-max-keys", "0", "1 to 1000000"},
		{"subscribe-max-nodes", "-1", "1 to 1000000"},
		{"subscribe-rate", "1000001", "1 to 1000000"},
	} {
		if _, err := partsOf(t, "--subscribe", "127.0.0.1:4040", "--"+tt.flag, tt.value); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "--"+tt.flag) {
			t.Errorf("--%s %q: %v, want an error that says %q", tt.flag, tt.value, err, tt.want)
		}
	}
}

// What is said about announcements that nobody takes is not passed over.
func TestSubscribeForgotten(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"--subscribe-from", "10.0.0.0/8"}, {"--subscribe-key", "a.example"}, {"--subscribe-modifier", "5"}, {"--subscribe-sign", dir},
		{"--subscribe-tolerance", "17s"}, {"--subscribe-max-keys", "9"}, {"--subscribe-max-nodes", "9"}, {"--subscribe-rate", "9"},
		{"--subscribe-allow-unix"}, {"--subscribe-state", dir + "/state"},
	} {
		want := args[0] + " has no effect without --subscribe: add --subscribe ADDRESS"
		if _, err := partsOf(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
