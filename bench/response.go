//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// A response reads one response. Its zero value is ready for the head.
type response struct {
	head   []byte // until it is complete
	inBody bool
	status int
	length int64 // announced by the head; -1: none
	body   int64 // bytes that have arrived
}

// maxHead is more than the length of any head in this benchmark.
const maxHead = 8 << 10

var (
	headEnd       = []byte("\r\n\r\n")
	lineEnd       = []byte("\r\n")
	contentLength = []byte("content-length")
)

// reset prepares for the next response. It keeps the memory.
func (a *response) reset() { *a = response{head: a.head[:0]} }

// take reads the next bytes and reports whether the response is complete.
func (a *response) take(b []byte) (done bool, err error) {
	if !a.inBody {
		if b, err = a.takeHead(b); err != nil || !a.inBody {
			return false, err
		}
	}
	a.body += int64(len(b))
	if a.length >= 0 && a.body > a.length {
		return false, fmt.Errorf("response of %d bytes, announced as %d", a.body, a.length)
	}
	return a.body == a.length, nil
}

// end returns an error if the stream must not end here.
func (a *response) end() error {
	switch {
	case !a.inBody && len(a.head) == 0:
		return errors.New("closed without a response")
	case !a.inBody:
		return errors.New("closed inside the response's head")
	case a.length >= 0:
		return fmt.Errorf("closed after %d of %d bytes", a.body, a.length)
	}
	return nil
}

// takeHead reads a part of the head and returns the bytes after the head.
func (a *response) takeHead(b []byte) ([]byte, error) {
	// The blank line may arrive in two parts.
	from := max(0, len(a.head)-len(headEnd)+1)
	before := len(a.head)
	a.head = append(a.head, b[:min(len(b), maxHead-before)]...)
	at := bytes.Index(a.head[from:], headEnd)
	if at < 0 {
		if len(a.head) == maxHead {
			return nil, fmt.Errorf("head of over %d bytes", maxHead)
		}
		return nil, nil
	}
	end := from + at + len(headEnd)
	if err := a.parse(a.head[:end-len(lineEnd)]); err != nil {
		return nil, err
	}
	a.inBody = true
	return b[end-before:], nil
}

// parse reads a complete head, with the ends of its lines.
func (a *response) parse(head []byte) error {
	line, rest, _ := bytes.Cut(head, lineEnd)
	status, ok := cutStatus(line)
	if !ok {
		return fmt.Errorf("%.64q is no status line", line)
	}
	a.status, a.length = status, -1
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, lineEnd)
		name, value, _ := bytes.Cut(line, []byte(":"))
		if len(name) != len(contentLength) || !bytes.EqualFold(name, contentLength) {
			continue
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("Content-Length %.32q is no number of bytes", value)
		}
		a.length = n
	}
	return nil
}

// cutStatus returns the 200 of "HTTP/1.1 200 OK".
func cutStatus(line []byte) (int, bool) {
	if !bytes.HasPrefix(line, []byte("HTTP/1.")) || len(line) < len("HTTP/1.1 200") {
		return 0, false
	}
	n, err := strconv.Atoi(string(line[len("HTTP/1.1 "):len("HTTP/1.1 200")]))
	return n, err == nil && n >= 100
}
