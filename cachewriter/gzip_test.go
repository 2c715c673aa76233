package cachewriter

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
)

func TestGzip(t *testing.T) {
	noise := sha256.Sum256([]byte("noise"))
	tests := []struct {
		name   string
		body   []byte
		shrunk bool
	}{
		{"a page", []byte(strings.Repeat("<p>hello</p>", 100)), true},
		{"what does not shrink", noise[:], false},
		{"one byte", []byte("x"), false},
		{"nothing", nil, false},
	}
	for _, tt := range tests {
		value, shrunk := Gzip(tt.body)
		if shrunk != tt.shrunk {
			t.Errorf("%s: shrunk = %v", tt.name, shrunk)
		}
		if !shrunk {
			if !bytes.Equal(value, tt.body) {
				t.Errorf("%s: got %q, want the body as it is", tt.name, value)
			}
			continue
		}
		again, _ := Gzip(tt.body)
		if !bytes.Equal(again, value) {
			t.Errorf("%s: two values of one body differ", tt.name)
		}
		r, err := gzip.NewReader(bytes.NewReader(value))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, tt.body) {
			t.Errorf("%s: inflated to %.40q, %v", tt.name, got, err)
		}
	}
}
