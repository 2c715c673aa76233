//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A script says what the worker does with a request. The path selects it:
//
//	/pass/SIZE/…     send SIZE bytes that must not be stored
//	/store/SIZE/…    send SIZE bytes to store for a minute; they begin with a stamp
//	/hold/SIZE/…     like pass, but wait for a request for /release
//	/sink/SIZE/…     like pass, after the request's body
//	/held            send the number of requests that wait for /release
//	/release         serve them
type script struct {
	mode string
	size int
}

// parsePath parses a path.
func parsePath(path string) (script, error) {
	mode, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch mode {
	case "held", "release":
		return script{mode: mode}, nil
	case "pass", "store", "hold", "sink":
	default:
		return script{}, fmt.Errorf("bench: worker: no script for %.64q", path)
	}
	size, _, _ := strings.Cut(rest, "/")
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 || n > len(filler) && mode == "store" {
		return script{}, fmt.Errorf("bench: worker: no size in %.64q", path)
	}
	return script{mode, n}, nil
}

// A reply is a response that is sent many times: whole, and then a number of bytes of
// filler.
type reply struct {
	whole []byte
	stamp []byte // the part of whole for the time when it is sent; nil: none
	more  int
}

// stampDigits is the length of a stamp: nanoseconds since 1970.
const stampDigits = 19

// filler is the content of bodies.
var filler = bytes.Repeat([]byte("<p>Nothing to see in this page.\n"), 1<<15)

func newReply(s script) *reply {
	control := "private, no-store"
	if s.mode == "store" {
		control = "max-age=60"
	}
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\nCache-Control: %s\r\n\r\n",
		s.size, control)
	now := min(s.size, len(filler))
	r := &reply{whole: append([]byte(head), filler[:now]...), more: s.size - now}
	if s.mode == "store" && s.size >= stampDigits {
		r.stamp = r.whole[len(head) : len(head)+stampDigits]
	}
	return r
}

// next returns whole with a new stamp. It changes the bytes in place: another request may
// still be sending the rest, but its stamp was sent first.
func (r *reply) next() []byte {
	if r.stamp != nil {
		strconv.AppendInt(r.stamp[:0], time.Now().UnixNano(), 10)
	}
	return r.whole
}

// readStamp returns the time at which a page was sent.
func readStamp(body []byte) (time.Time, error) {
	if len(body) < stampDigits {
		return time.Time{}, fmt.Errorf("bench: page of %d bytes has no stamp", len(body))
	}
	n, err := strconv.ParseInt(string(body[:stampDigits]), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("bench: page with a bad stamp: %w", err)
	}
	return time.Unix(0, n), nil
}
