package uwsgi

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// datagram makes a subscription packet of any vars.
func datagram(cmd byte, vars ...string) []byte {
	b := []byte{modifierSubscription, 0, 0, cmd}
	for _, s := range vars {
		b = appendString(b, s)
	}
	binary.LittleEndian.PutUint16(b[1:], uint16(len(b)-headerSize))
	return b
}

func TestParseSubscription(t *testing.T) {
	good := Subscription{Key: "a.example", Address: ":3031"}
	with := func(change func(*Subscription)) Subscription {
		s := good
		change(&s)
		return s
	}
	many := []string{"key", "a.example", "address", ":3031"}
	for i := range maxSubscriptionVars - 1 {
		many = append(many, "x"+strconv.Itoa(i), "")
	}
	tests := []struct {
		name     string
		datagram []byte
		code     Code // "": it is good
		want     Subscription
	}{
		{"least", datagram(0, "key", "a.example", "address", ":3031"), "", good},
		{"any order", datagram(0, "address", ":3031", "key", "a.example"), "", good},
		{"leave", datagram(1, "key", "a.example", "address", ":3031"), "", with(func(s *Subscription) { s.Leave = true })},
		{"unknown vars", datagram(0, "key", "a.example", "sni_key", "/etc/\"", "address", ":3031", "vassal", ""), "", good},
		{"largest numbers", datagram(0, "key", "a.example", "address", ":3031", "modifier1", "255", "modifier2", "255", "cores", "65535", "load", "65535", "weight", "65535"), "",
			with(func(s *Subscription) {
				s.Modifier1, s.Modifier2, s.Cores, s.Load, s.Weight = 255, 255, 65535, 65535, 65535
			})},
		{"backup", datagram(0, "key", "a.example", "address", ":3031", "backup", "2"), "", with(func(s *Subscription) { s.Backup = true })},
		{"no backup", datagram(0, "key", "a.example", "address", ":3031", "backup", "0"), "", good},
		{"longest key", datagram(0, "key", strings.Repeat("k", 255), "address", ":3031"), "", with(func(s *Subscription) { s.Key = strings.Repeat("k", 255) })},
		{"signed", datagram(0, "key", "a.example", "address", ":3031", "sign", "\x00\xff"), "", with(func(s *Subscription) {
			s.Sign, s.Signed = []byte("\x00\xff"), datagram(0, "key", "a.example", "address", ":3031")[headerSize:]
		})},

		{"nothing", nil, ShortHeader, good},
		{"three bytes", []byte{224, 0, 0}, ShortHeader, good},
		{"a request", append([]byte{0}, datagram(0, "key", "a", "address", ":1")[1:]...), BadModifier, good},
		{"command 2", datagram(2, "key", "a", "address", ":1"), BadCommand, good},
		{"command 255", datagram(255, "key", "a", "address", ":1"), BadCommand, good},
		{"cut off", datagram(0, "key", "a", "address", ":1")[:20], ShortBlock, good},
		{"bytes behind the block", append(datagram(0, "key", "a", "address", ":1"), 0), TrailingBytes, good},
		{"a var behind the block", append(datagram(0, "key", "a", "address", ":1"), 1, 0, 'x', 0, 0), TrailingBytes, good},
		{"a byte behind the vars", append([]byte{224, 1, 0, 0}, 0), TrailingBytes, good},
		{"too large", datagram(0, "key", "a", "address", ":1", "x", strings.Repeat("x", 4096)), BlockTooLarge, good},
		{"too many vars", datagram(0, many...), TooManyVars, good},
		{"name past the block", []byte{224, 3, 0, 0, 9, 0, 'k'}, TruncatedKey, good},
		{"value past the block", []byte{224, 6, 0, 0, 1, 0, 'k', 9, 0, 'v'}, TruncatedValue, good},
		{"empty name", datagram(0, "", "a"), EmptyKey, good},
		{"empty block", datagram(0), MissingVar, good},
		{"no key", datagram(0, "address", ":1"), MissingVar, good},
		{"no address", datagram(0, "key", "a"), MissingVar, good},
		{"two keys", datagram(0, "key", "a", "key", "b", "address", ":1"), DuplicateVar, good},
		{"the same key twice", datagram(0, "key", "a", "key", "a", "address", ":1"), DuplicateVar, good},
		{"empty key", datagram(0, "key", "", "address", ":1"), BadValue, good},
		{"empty address", datagram(0, "key", "a", "address", ""), BadValue, good},
		{"key that kills a FastRouter", datagram(0, "key", strings.Repeat("k", 256), "address", ":1"), BadValue, good},
		{"key with a quote", datagram(0, "key", `a"b`, "address", ":1"), BadValue, good},
		{"key with a line break", datagram(0, "key", "a\nb", "address", ":1"), BadValue, good},
		{"key with a space", datagram(0, "key", "a b", "address", ":1"), BadValue, good},
		{"key with a zero", datagram(0, "key", "a\x00b", "address", ":1"), BadValue, good},
		{"key beyond ASCII", datagram(0, "key", "é", "address", ":1"), BadValue, good},
		{"modifier 256", datagram(0, "key", "a", "address", ":1", "modifier1", "256"), BadValue, good},
		{"modifier 300", datagram(0, "key", "a", "address", ":1", "modifier2", "300"), BadValue, good},
		{"weight -5", datagram(0, "key", "a", "address", ":1", "weight", "-5"), BadValue, good},
		{"weight +5", datagram(0, "key", "a", "address", ":1", "weight", "+5"), BadValue, good},
		{"weight 1.5", datagram(0, "key", "a", "address", ":1", "weight", "1.5"), BadValue, good},
		{"weight 65536", datagram(0, "key", "a", "address", ":1", "weight", "65536"), BadValue, good},
		{"weight of 30 digits", datagram(0, "key", "a", "address", ":1", "weight", strings.Repeat("9", 30)), BadValue, good},
		{"no cores", datagram(0, "key", "a", "address", ":1", "cores", ""), BadValue, good},
		{"load in hex", datagram(0, "key", "a", "address", ":1", "load", "0x1"), BadValue, good},
		{"backup yes", datagram(0, "key", "a", "address", ":1", "backup", "yes"), BadValue, good},
		{"unix over its range", datagram(0, "key", "a", "address", ":1", "unix", strconv.FormatInt(math.MaxInt64, 10)), BadValue, good},
		{"empty notify", datagram(0, "key", "a", "address", ":1", "notify", ""), BadValue, good},
		{"empty sign", datagram(0, "key", "a", "address", ":1", "sign", ""), BadValue, good},
		{"sign before the last var", datagram(0, "key", "a", "sign", "s", "address", ":1"), BadValue, good},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSubscription(tt.datagram)
			if tt.code != "" {
				if got != nil {
					t.Errorf("got %+v beside an error", got)
				}
				wantCode(t, err, tt.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantSubscription(t, got, &tt.want)
		})
	}
}

func wantSubscription(t *testing.T, got, want *Subscription) {
	t.Helper()
	sameSign := bytes.Equal(got.Sign, want.Sign) && bytes.Equal(got.Signed, want.Signed)
	g, w := *got, *want
	g.Sign, g.Signed, w.Sign, w.Signed = nil, nil, nil, nil
	if !sameSign || !equalSubscriptions(g, w) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func equalSubscriptions(a, b Subscription) bool {
	return slices.Equal(a.request().Vars, b.request().Vars) && a.Leave == b.Leave
}

func TestSubscriptionVectors(t *testing.T) {
	for _, vec := range readVectors(t).Subscriptions {
		if vec.PacketHex == nil {
			continue // the acknowledgement is plain text
		}
		t.Run(vec.Name, func(t *testing.T) {
			s, err := ParseSubscription(vec.PacketHex)
			if err != nil {
				t.Fatal(err)
			}
			vars := vec.Vars.vars()
			if s.Key != vars.Get("key") || s.Address != vars.Get("address") || s.Leave != (vec.Header.Modifier2 == 1) || s.Notify != vars.Get("notify") {
				t.Errorf("got %+v, want what %q say", s, vars)
			}
			if strconv.Itoa(s.Weight) != vars.Get("weight") || strconv.Itoa(s.Cores) != vars.Get("cores") || strconv.Itoa(int(s.Modifier1)) != vars.Get("modifier1") {
				t.Errorf("weight %d, cores %d, modifier1 %d; want what %q say", s.Weight, s.Cores, s.Modifier1, vars)
			}
			if _, ok := vars.Lookup("sni_key"); ok {
				return // these are ignored, hence not sent again
			}
			if got, err := s.Append(nil); err != nil || !bytes.Equal(got, vec.PacketHex) {
				t.Errorf("encoded again: %v\n got %x\nwant %x", err, got, vec.PacketHex)
			}
		})
	}
}

// TestSubscriptionSignature compares Signed with what uWSGI has signed.
func TestSubscriptionSignature(t *testing.T) {
	all := readVectors(t)
	block, _ := pem.Decode([]byte(all.Signing.PublicKey))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signed := 0
	for _, vec := range all.Subscriptions {
		if !strings.HasPrefix(vec.Name, "sub_signed") {
			continue
		}
		signed++
		s, err := ParseSubscription(vec.PacketHex)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha1.Sum(s.Signed)
		if err := rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA1, sum[:], s.Sign); err != nil {
			t.Errorf("%s: %v", vec.Name, err)
		}
		if s.Unix < 1795442342 || s.Unix > 1795442344 {
			t.Errorf("%s: unix %d, want the second it was recorded in", vec.Name, s.Unix)
		}
	}
	if signed != 3 {
		t.Errorf("%d signed datagrams, want 3", signed)
	}
}

func TestAppendSubscription(t *testing.T) {
	tests := []struct {
		name string
		sub  Subscription
		code Code
	}{
		{"no key", Subscription{Address: ":1"}, BadValue},
		{"no address", Subscription{Key: "a"}, BadValue},
		{"negative weight", Subscription{Key: "a", Address: ":1", Weight: -1}, BadValue},
		{"cores over their range", Subscription{Key: "a", Address: ":1", Cores: 65536}, BadValue},
		{"too large", Subscription{Key: "a", Address: ":1", Sign: make([]byte, 4096)}, BlockTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.sub.Append([]byte("before"))
			wantCode(t, err, tt.code)
			if string(got) != "before" {
				t.Errorf("got %q, want what was there", got)
			}
		})
	}
	if got, err := (&Subscription{Key: "a", Address: ":1"}).Append([]byte("before")); err != nil || !bytes.HasPrefix(got, []byte("before\xe0")) {
		t.Errorf("got %q, %v; want the datagram appended", got, err)
	}
}

func FuzzParseSubscription(f *testing.F) {
	for _, vec := range readVectors(f).Subscriptions {
		if vec.PacketHex != nil {
			f.Add([]byte(vec.PacketHex))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSubscription(b)
		if err != nil {
			return
		}
		packet, err := s.Append(nil)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", s, err)
		}
		again, err := ParseSubscription(packet)
		if err != nil || !equalSubscriptions(*s, *again) {
			t.Fatalf("\n got %+v, %v\nwant %+v", again, err, s)
		}
		if s.Sign != nil && !bytes.HasPrefix(b[headerSize:], s.Signed) {
			t.Fatal("Signed is not the beginning of the block")
		}
	})
}
