package cachewriter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// errNoDump is wrapped by the error of dump if the server does not list its keys.
var errNoDump = errors.New("memcached does not list its keys; start it without `-X` and without `-o no_lru_crawler`")

// errDump means that a list of keys is damaged. Another attempt may succeed.
var errDump = errors.New("the list of keys is damaged")

const (
	// dumpPatience is how long a server may be silent in the middle of a list.
	dumpPatience = 30 * time.Second

	// busyPatience is how long a dump waits for another one to end: memcached runs one at
	// a time.
	busyPatience = time.Minute

	busyPauseMin, busyPauseMax = 5 * time.Millisecond, 200 * time.Millisecond
)

// dump calls visit with every wire key that a memcached holds, in the order of its hash
// table, and with some keys twice if the list is read slowly. A key that is there during
// the whole call is not left out. Keys that are no wire keys are. The key is valid until
// visit returns.
//
// visit must be quick, and must not wait for the server: while memcached 1.6.18 waits for
// the reader of a list, it holds a lock that get and set wait for. If a client does not
// read for a second, memcached repeats a part of the list, and at the end it overwrites a
// part (lru_crawler_write in crawler.c). Then lines do not have their form, or something
// follows the end.
func dump(ctx context.Context, addr string, dialTimeout time.Duration, visit func(wire []byte) error) error {
	return dumpLines(ctx, addr, dialTimeout, func(wire, _ []byte) error { return visit(wire) })
}

// dumpLines is dump with the rest of each line, after the key.
func dumpLines(ctx context.Context, addr string, dialTimeout time.Duration, visit func(wire, rest []byte) error) error {
	network, address := dialArgs(addr)
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	br := bufio.NewReaderSize(patientConn{nc}, 256<<10)
	if err = readDump(ctx, nc, br, visit); err == nil {
		err = endDump(nc, br)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func readDump(ctx context.Context, nc net.Conn, br *bufio.Reader, visit func(wire, rest []byte) error) error {
	line, err := startDump(ctx, nc, br)
	for {
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if string(line) == "END" {
			return nil
		}
		key, err := parseDumpLine(line)
		if err != nil {
			return err
		}
		rest := line[len("key=")+len(key):]
		if wire, ok := unescapeDump(key); ok {
			if err := visit(wire, rest); err != nil {
				return err
			}
		}
		line, err = br.ReadSlice('\n')
		if err != nil {
			return err
		}
	}
}

// startDump sends the command until the server is not busy with another list, and returns
// the first line of the response.
func startDump(ctx context.Context, nc net.Conn, br *bufio.Reader) (line []byte, err error) {
	pause := busyPauseMin
	for end := time.Now().Add(busyPatience); ; pause = min(2*pause, busyPauseMax) {
		if _, err := io.WriteString(nc, "lru_crawler metadump hash\r\n"); err != nil {
			return nil, err
		}
		line, err := br.ReadSlice('\n')
		switch {
		case err != nil:
			return nil, err
		case bytes.HasPrefix(line, []byte("END")) || bytes.HasPrefix(line, []byte("key=")):
			return line, nil
		case !bytes.HasPrefix(line, []byte("BUSY")):
			return nil, fmt.Errorf("%w; it says %q", errNoDump, bytes.TrimSpace(line))
		case time.Now().After(end):
			return nil, fmt.Errorf("the server lists its keys for others all the time: %q", bytes.TrimSpace(line))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// endDump makes sure that nothing follows the end of the list.
func endDump(nc net.Conn, br *bufio.Reader) error {
	if _, err := io.WriteString(nc, "mn\r\n"); err != nil {
		return err
	}
	line, err := readLine(br)
	if err == nil && line != "MN" {
		err = fmt.Errorf("%w: after its end comes %.100q", errDump, line)
	}
	return err
}

// parseDumpLine returns the key of a line, as it is written there:
//
//	key=%2Fa%2520b exp=1795502884 la=1795502584 cas=12 fetch=no cls=4 size=118
func parseDumpLine(line []byte) (key []byte, err error) {
	words := 0
	for rest, more := line, true; more; words++ {
		var word []byte
		word, rest, more = bytes.Cut(rest, []byte(" "))
		name, value, ok := bytes.Cut(word, []byte("="))
		if !ok || len(value) == 0 || bytes.IndexByte(value, '=') >= 0 || (string(name) == "key") != (words == 0) {
			return nil, fmt.Errorf("%w: %.300q", errDump, line)
		}
		if words == 0 {
			key = value
		}
	}
	if words < 2 {
		return nil, fmt.Errorf("%w: %.300q", errDump, line)
	}
	return key, nil
}

// unescapeDump replaces a key in a list by the wire key, in place. It is not ok for a key
// that is no wire key, such as one that was stored in base64.
func unescapeDump(key []byte) (wire []byte, ok bool) {
	wire = key[:0]
	for i := 0; i < len(key); i++ {
		c := key[i]
		if c == '%' {
			if i+2 >= len(key) || !isHex(key[i+1]) || !isHex(key[i+2]) {
				return nil, false
			}
			c = unhex(key[i+1])<<4 | unhex(key[i+2])
			i += 2
		}
		if c <= ' ' {
			return nil, false
		}
		wire = append(wire, c)
	}
	return wire, len(wire) > 0 && len(wire) <= maxKeyLen
}

// unescapeKey returns the raw key of a wire key. It is not ok if nginx never sends that
// wire key.
func unescapeKey(wire string) (key string, ok bool) {
	if strings.IndexByte(wire, '%') < 0 {
		return wire, true
	}
	b := make([]byte, 0, len(wire))
	for i := 0; i < len(wire); i++ {
		c := wire[i]
		if c == '%' {
			if i+2 >= len(wire) || !isHex(wire[i+1]) || !isHex(wire[i+2]) {
				return "", false
			}
			c = unhex(wire[i+1])<<4 | unhex(wire[i+2])
			i += 2
		}
		b = append(b, c)
	}
	key = string(b)
	return key, Escape(key) == wire
}

// A patientConn is a connection on which each read may take dumpPatience.
type patientConn struct{ net.Conn }

func (c patientConn) Read(b []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(dumpPatience))
	return c.Conn.Read(b)
}
