package subscription

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/uwsgi"
)

type recording struct {
	name     string
	datagram []byte
}

// recorded reads testdata/subscriptions.txt.
func recorded(tb testing.TB) []recording {
	tb.Helper()
	text, err := os.ReadFile("testdata/subscriptions.txt")
	if err != nil {
		tb.Fatal(err)
	}
	var all []recording
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, digits, _ := strings.Cut(lines.Text(), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, recording{name, b})
	}
	if len(all) != 42 {
		tb.Fatalf("%d datagrams, want 42", len(all))
	}
	return all
}

// Signatures that uWSGI made are verified.
func TestRecordedSignatures(t *testing.T) {
	s := &Registry{Admission: Admission{PublicKeys: "testdata", Digest: crypto.SHA1}}
	from := source{ip: netip.MustParseAddr("127.0.0.1")}
	for _, r := range recorded(t) {
		if !strings.HasPrefix(r.name, "sub_signed") {
			continue
		}
		sub, err := uwsgi.ParseSubscription(r.datagram)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(sub.Unix, 0)
		flipped := bytes.Clone(r.datagram)
		flipped[47] ^= 1 // the last digit of the address
		wantRefusal(t, s.take(flipped, from, at), RefusedSignature)
		wantRefusal(t, (&Registry{Admission: Admission{PublicKeys: "testdata"}}).take(r.datagram, from, at.Add(2*time.Minute)), RefusedReplay)
		wantRefusal(t, (&Registry{Admission: Admission{PublicKeys: "testdata"}}).take(r.datagram, from, at), RefusedSignature) // SHA-256
		wantRefusal(t, (&Registry{Admission: Admission{PublicKeys: "testdata", Digest: crypto.BLAKE2b_256}}).take(r.datagram, from, at), RefusedSignature)
		if err := s.take(r.datagram, from, at); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		wantRefusal(t, s.take(r.datagram, from, at), RefusedReplay)
	}
	if got := s.Stats(); got.Announced != 2 || got.Left != 1 || got.Nodes != 0 {
		t.Errorf("stats %+v, want 2 announced, 1 left", got)
	}
}

var privateKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// signed encodes a subscription as uWSGI with sign=SHA256:… does.
func signed(tb testing.TB, sub uwsgi.Subscription, at time.Time) []byte {
	tb.Helper()
	sub.Unix = at.Unix()
	h := crypto.SHA256.New()
	h.Write(datagram(tb, sub)[4:])
	var err error
	if sub.Sign, err = rsa.SignPKCS1v15(nil, privateKey(), crypto.SHA256, h.Sum(nil)); err != nil {
		tb.Fatal(err)
	}
	return datagram(tb, sub)
}

// writePublicKey makes a directory with the public key under these names.
func writePublicKey(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	text, err := x509.MarshalPKIXPublicKey(&privateKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: text})
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSignatures(t *testing.T) {
	dir := writePublicKey(t, "a.example.pem", "a.example_8080.pem", "....etc.pem")
	os.WriteFile(filepath.Join(dir, "empty.pem"), nil, 0o600)
	now := time.Unix(1_900_000_000, 500)
	a := uwsgi.Subscription{Key: "a.example", Address: "127.0.0.1:1"}
	other := func(change func(*uwsgi.Subscription)) uwsgi.Subscription {
		sub := a
		change(&sub)
		return sub
	}
	leave := other(func(sub *uwsgi.Subscription) { sub.Leave = true })
	turned := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[3] ^= 1
		return b
	}
	type step struct {
		datagram []byte
		reason   Refusal
	}
	for name, steps := range map[string][]step{
		"good":               {{signed(t, a, now), ""}},
		"port in the key":    {{signed(t, other(func(sub *uwsgi.Subscription) { sub.Key = "a.example:8080" }), now), ""}},
		"key with a path":    {{signed(t, other(func(sub *uwsgi.Subscription) { sub.Key = "../../etc" }), now), RefusedSignature}},
		"no signature":       {{datagram(t, a), RefusedSignature}},
		"leave, unsigned":    {{signed(t, a, now), ""}, {datagram(t, leave), RefusedSignature}},
		"no public key":      {{signed(t, other(func(sub *uwsgi.Subscription) { sub.Key = "b.example" }), now), RefusedSignature}},
		"empty public key":   {{signed(t, other(func(sub *uwsgi.Subscription) { sub.Key = "empty" }), now), RefusedSignature}},
		"no time":            {{signed(t, a, time.Unix(0, 0)), RefusedReplay}},
		"a minute ago":       {{signed(t, a, now.Add(-time.Minute)), ""}},
		"longer ago":         {{signed(t, a, now.Add(-61*time.Second)), RefusedReplay}},
		"in a minute":        {{signed(t, a, now.Add(time.Minute)), ""}},
		"later":              {{signed(t, a, now.Add(61*time.Second)), RefusedReplay}},
		"end of all time":    {{signed(t, a, time.Unix(1<<62, 0)), RefusedReplay}},
		"twice":              {{signed(t, a, now), ""}, {signed(t, a, now), RefusedReplay}},
		"older":              {{signed(t, a, now), ""}, {signed(t, a, now.Add(-time.Second)), RefusedReplay}},
		"newer":              {{signed(t, a, now), ""}, {signed(t, a, now.Add(time.Second)), ""}},
		"of another server":  {{signed(t, a, now), ""}, {signed(t, other(func(sub *uwsgi.Subscription) { sub.Address = "127.0.0.1:2" }), now), ""}},
		"turned into leave":  {{signed(t, a, now), ""}, {turned(signed(t, a, now)), RefusedReplay}},
		"turned, held back":  {{turned(signed(t, a, now)), ""}, {signed(t, a, now), RefusedReplay}, {signed(t, a, now.Add(time.Second)), ""}},
		"after it has left":  {{signed(t, a, now), ""}, {signed(t, leave, now.Add(time.Second)), ""}, {signed(t, a, now), RefusedReplay}, {turned(signed(t, leave, now.Add(time.Second))), RefusedReplay}},
		"comes back":         {{signed(t, leave, now), ""}, {signed(t, a, now.Add(time.Second)), ""}},
		"address, unsigned":  {{signed(t, other(func(sub *uwsgi.Subscription) { sub.Address = ":1" }), now), RefusedAddress}},
		"address, unsigned6": {{signed(t, other(func(sub *uwsgi.Subscription) { sub.Address = "[::]:1" }), now), RefusedAddress}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Registry{Admission: Admission{PublicKeys: dir}}
			for i, step := range steps {
				err := s.take(step.datagram, source{ip: netip.MustParseAddr("127.0.0.1")}, now)
				r, _ := err.(*refusal)
				if (err == nil) != (step.reason == "") || r != nil && r.reason != step.reason {
					t.Fatalf("datagram %d: %v, want the refusal %q", i, err, step.reason)
				}
			}
		})
	}
}

// Signed times are remembered as long as they could be replayed, for a bounded number of signers.
func TestReplaysAreBounded(t *testing.T) {
	s := &Registry{Admission: Admission{PublicKeys: "on"}}
	now := time.Unix(1_900_000_000, 0)
	try := func(i int, at time.Time) error {
		return s.remember(&uwsgi.Subscription{Unix: at.Unix()}, announced{Key: "a", Addr: fmt.Sprint(i)}, at)
	}
	for i := range maxSigners {
		if err := try(i, now); err != nil {
			t.Fatal(i, err)
		}
	}
	wantRefusal(t, try(maxSigners, now), RefusedFull)
	wantRefusal(t, try(7, now), RefusedReplay)
	wantRefusal(t, try(7, now.Add(time.Second)), "")
	wantRefusal(t, try(maxSigners, now.Add(61*time.Second)), "")
	if got := len(s.replays.last); got != 2 {
		t.Errorf("%d signers are remembered, want 2", got)
	}
}

func TestPemName(t *testing.T) {
	for key, want := range map[string]string{
		"www.example.com": "www.example.com.pem",
		"a-b_C.9:80":      "a-b_C.9_80.pem",
		"host/path":       "host_path.pem",
		"../x":            ".._x.pem",
	} {
		if got := pemName(key); got != want {
			t.Errorf("pemName(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	r := refusals{}
	now := time.Now()
	for range 5 {
		r.add(RefusedKey, now)
	}
	if silent, ok := r.add(RefusedRate, now.Add(time.Second)); silent != 4 || !ok {
		t.Errorf("after a second: %d before it, %t; want 4, true", silent, ok)
	}
	if got, want := r.all(), map[Refusal]uint64{RefusedKey: 5, RefusedRate: 1}; !maps.Equal(got, want) {
		t.Errorf("counts %v, want %v", got, want)
	}
}
