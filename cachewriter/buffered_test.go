package cachewriter

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// A counted connection records what is written to it.
type counted struct {
	net.Conn
	writes []int
	all    bytes.Buffer
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes = append(c.writes, len(b))
	return c.all.Write(b)
}

func (c *counted) Read([]byte) (int, error) { return 0, io.EOF }

func TestCorked(t *testing.T) {
	for name, tt := range map[string]struct {
		pieces []int
		writes int
	}{
		"nothing":         {nil, 0},
		"a small command": {[]int{40, 4056, 70}, 1},
		"just as much":    {[]int{maxHeld / 2, maxHeld / 2}, 1},
		"a large value":   {[]int{4096, 4096, 4096, 4096, 1000}, 2},
		"a huge one":      {[]int{4096, 1 << 20, 2}, 3},
	} {
		nc := &counted{}
		c := &bufferedConn{Conn: nc}
		var want bytes.Buffer
		for i, n := range tt.pieces {
			piece := bytes.Repeat([]byte{byte('a' + i)}, n)
			want.Write(piece)
			if got, err := c.Write(piece); got != n || err != nil {
				t.Fatalf("%s: wrote %d, %v", name, got, err)
			}
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(nc.all.Bytes(), want.Bytes()) || len(nc.writes) != tt.writes {
			t.Errorf("%s: %v, %d bytes; want %d writes, %d bytes", name, nc.writes, nc.all.Len(), tt.writes, want.Len())
		}
	}
}
