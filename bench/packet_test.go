//go:build linux

package main

import (
	"bufio"
	"bytes"
	"io"
	"sync/atomic"
	"testing"

	"uwgate/uwsgi"
)

// TestPacket reads the packets with package uwsgi and as the worker does.
func TestPacket(t *testing.T) {
	var serial atomic.Int64
	p, err := newPacket(question{path: "/sink/256/", body: 1000, pools: 2, store: "unix:/memcached.sock"}, &serial)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []map[string]string{
		{"REQUEST_URI": "/sink/256/000000001", "CACHE_KEY": "http://www000000001.example.com/sink/256/000000001"},
		{"REQUEST_URI": "/sink/256/000000002", "HTTP_HOST": "www000000000.example.com"},
		{"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "1000", "CACHE_STATUS": "404", "CACHE_SERVER": "unix:/memcached.sock"},
	} {
		b := p.next()
		br := bufio.NewReader(bytes.NewReader(b))
		req, err := uwsgi.ReadRequest(br)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range want {
			if got := req.Vars.Get(name); got != value {
				t.Errorf("%s: got %q, want %q", name, got, value)
			}
		}
		body, _ := io.ReadAll(br)
		if len(body) != 1000 {
			t.Errorf("body of %d bytes, want 1000", len(body))
		}
		if size := packetSize(b); size != len(b)-1000 {
			t.Errorf("size %d, want %d", size, len(b)-1000)
		}
		a, err := parseBlock(b[blockHeader:packetSize(b)])
		if err != nil || a.length != 1000 || a.path != req.Vars.Get("REQUEST_URI") {
			t.Errorf("the worker reads %+v, %v", a, err)
		}
	}
}

func TestPacketOfGet(t *testing.T) {
	p, err := newPacket(question{path: "/pass/1/"}, new(atomic.Int64))
	if err != nil {
		t.Fatal(err)
	}
	a, err := parseBlock(p.next()[blockHeader:])
	if want := (asked{"/pass/1/000000001", 0}); err != nil || a != want {
		t.Errorf("got %+v, %v, want %+v", a, err, want)
	}
}

func TestBlocks(t *testing.T) {
	for _, tt := range []struct {
		name, block string
		err         string
	}{
		{"empty", "", ""},
		{"other vars", "\x01\x00A\x01\x00B", ""},
		{"inside a name", "\x02\x00A", "inside a name"},
		{"without a value", "\x01\x00A", "inside the value"},
		{"inside a value", "\x01\x00A\x02\x00B", "inside the value"},
		{"bad length", "\x0e\x00CONTENT_LENGTH\x02\x00-1", "no number of bytes"},
	} {
		if _, err := parseBlock([]byte(tt.block)); !says(err, tt.err) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.err)
		}
	}
}

// FuzzBlock compares how the worker and package uwsgi read a packet.
func FuzzBlock(f *testing.F) {
	f.Add([]byte("\x0b\x00REQUEST_URI\x02\x00/a"))
	f.Add([]byte("\x0e\x00CONTENT_LENGTH\x02\x0012"))
	f.Fuzz(func(t *testing.T, block []byte) {
		if len(block) > 1<<16-1 {
			return
		}
		a, err := parseBlock(block)
		packet := append([]byte{0, byte(len(block)), byte(len(block) >> 8), 0}, block...)
		req, codecErr := uwsgi.ReadRequest(bufio.NewReader(bytes.NewReader(packet)))
		if err != nil || codecErr != nil {
			return
		}
		if want := req.Vars.Get("REQUEST_URI"); a.path != want {
			t.Errorf("path %q, the codec says %q", a.path, want)
		}
	})
}
