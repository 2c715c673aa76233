//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// An answer is the state of reading one. Its zero value is for the next.
type answer struct {
	head   []byte // until its end has come
	inBody bool
	status int
	length int64 // that the head announces; -1: none
	body   int64 // bytes that have come
}

// maxHead is more than any head has here.
const maxHead = 8 << 10

var (
	headEnd       = []byte("\r\n\r\n")
	lineEnd       = []byte("\r\n")
	contentLength = []byte("content-length")
)

// reset keeps the memory.
func (a *answer) reset() { *a = answer{head: a.head[:0]} }

// take reads the next bytes, and tells whether that was all of the answer.
func (a *answer) take(b []byte) (done bool, err error) {
	if !a.inBody {
		if b, err = a.takeHead(b); err != nil || !a.inBody {
			return false, err
		}
	}
	a.body += int64(len(b))
	if a.length >= 0 && a.body > a.length {
		return false, fmt.Errorf("answer of %d bytes, announced as %d", a.body, a.length)
	}
	return a.body == a.length, nil
}

// end tells whether the end of the stream may come here.
func (a *answer) end() error {
	switch {
	case !a.inBody && len(a.head) == 0:
		return errors.New("closed without an answer")
	case !a.inBody:
		return errors.New("closed inside the answer's head")
	case a.length >= 0:
		return fmt.Errorf("closed after %d of %d bytes", a.body, a.length)
	}
	return nil
}

// takeHead returns what comes after the head.
func (a *answer) takeHead(b []byte) ([]byte, error) {
	// The end may be in two parts, one of which has come before.
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

// parse reads a head, each line with its end.
func (a *answer) parse(head []byte) error {
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

// cutStatus is the 200 of "HTTP/1.1 200 OK".
func cutStatus(line []byte) (int, bool) {
	if !bytes.HasPrefix(line, []byte("HTTP/1.")) || len(line) < len("HTTP/1.1 200") {
		return 0, false
	}
	n, err := strconv.Atoi(string(line[len("HTTP/1.1 "):len("HTTP/1.1 200")]))
	return n, err == nil && n >= 100
}
