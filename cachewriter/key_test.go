package cachewriter

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

func TestEscape(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"nothing to do", ":1:CUSTOMKEY:/a?b=1&c", ":1:CUSTOMKEY:/a?b=1&c"},
		{"percent again", "p:/a%20b", "p:/a%2520b"},
		{"hex case of the client", "p:/caf%c3%a9", "p:/caf%25c3%25a9"},
		{"raw UTF-8", "/caf\xc3\xa9", "/caf\xc3\xa9"},
		{"space", "/a b", "/a%20b"},
		{"LF and DEL", "/a\nb\x7f", "/a%0Ab\x7f"},
		{"NUL", "\x00", "%00"},
		{"upper-case digits", "\x1f", "%1F"},
		{"what URLs escape", `"<>\^{|}#` + "`", `"<>\^{|}#` + "`"},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Escape(tt.raw); got != tt.want {
				t.Errorf("Escape(%q) = %q, want %q", tt.raw, got, tt.want)
			}
		})
	}
}

func TestEscapeAsNginx(t *testing.T) {
	var keys struct {
		Cases []struct {
			ID   string
			Raw  *latin1 `json:"key_raw"`
			Wire *latin1 `json:"key_wire"`
		}
	}
	var hashes struct {
		Lists []struct {
			Cases []struct {
				Raw  latin1 `json:"key_raw"`
				Wire latin1 `json:"key_wire"`
			}
		}
	}
	readVectors(t, "testdata/memcached_key.json", &keys)
	readVectors(t, "testdata/upstream_hash.json", &hashes)
	n := 0
	check := func(id string, raw, wire latin1) {
		n++
		if got := Escape(string(raw)); got != string(wire) {
			t.Errorf("%s: Escape(%q) = %q, nginx sent %q", id, raw, got, wire)
		}
	}
	for _, c := range keys.Cases {
		if c.Raw != nil && c.Wire != nil {
			check(c.ID, *c.Raw, *c.Wire)
		}
	}
	for _, l := range hashes.Lists {
		for _, c := range l.Cases {
			check("upstream_hash", c.Raw, c.Wire)
		}
	}
	if n < 700 {
		t.Errorf("only %d recorded keys checked", n)
	}
}

func TestCheckKey(t *testing.T) {
	tests := []struct {
		name, wire string
		want       error
	}{
		{"one byte", "a", nil},
		{"250 bytes", strings.Repeat("x", 250), nil},
		{"251 bytes", strings.Repeat("x", 251), ErrKeyTooLong},
		{"empty", "", ErrEmptyKey},
		{"space", "a b", ErrBadKey},
		{"CR LF", "a\r\nflush_all", ErrBadKey},
		{"NUL", "a\x00", ErrBadKey},
		{"DEL", "a\x7f", nil},
		{"0x80 and on", "\x80\xff", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := CheckKey(tt.wire); !errors.Is(got, tt.want) {
				t.Errorf("CheckKey(%q) = %v, want %v", tt.wire, got, tt.want)
			}
		})
	}
}

// unescaped undoes Escape.
func unescaped(t *testing.T, wire string) string {
	var b strings.Builder
	for i := 0; i < len(wire); i++ {
		if wire[i] != '%' {
			b.WriteByte(wire[i])
			continue
		}
		n, err := strconv.ParseUint(wire[i+1:i+3], 16, 8)
		if err != nil {
			t.Fatalf("%q at byte %d: %v", wire, i, err)
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String()
}

func FuzzEscape(f *testing.F) {
	f.Add("p:/a%20b")
	f.Add("\x00 \x7f\xff%")
	f.Add(strings.Repeat("%", 84))
	f.Fuzz(func(t *testing.T, raw string) {
		wire := Escape(raw)
		if got := unescaped(t, wire); got != raw {
			t.Errorf("Escape(%q) = %q, which is %q", raw, wire, got)
		}
		var want error
		switch {
		case raw == "":
			want = ErrEmptyKey
		case len(wire) > maxKeyLen:
			want = ErrKeyTooLong
		}
		if got := CheckKey(wire); got != want {
			t.Errorf("CheckKey(%q) = %v, want %v", wire, got, want)
		}
	})
}
