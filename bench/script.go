//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A script is what the worker does with a request, by its path:
//
//	/pass/SIZE/…     answers with that many bytes, which are not to be stored
//	/store/SIZE/…    the same for a minute in the store; they begin with a stamp
//	/hold/SIZE/…     as pass, but not before somebody asks for /release
//	/sink/SIZE/…     as pass, when the request's body has come
//	/held            answers with the number of requests that are held
//	/release         answers those
type script struct {
	mode string
	size int
}

// parsePath reads a path that the load generator made.
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

// A reply is an answer that is sent again and again: whole, and then so many bytes of
// filler.
type reply struct {
	whole []byte
	stamp []byte // the part of whole for when it is sent; nil: none
	more  int
}

// stampDigits are those of nanoseconds since 1970.
const stampDigits = 19

// filler is what bodies are made of.
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

// next is whole, stamped. What is still to be sent of it elsewhere changes as well, but
// never its stamp, which comes first.
func (r *reply) next() []byte {
	if r.stamp != nil {
		strconv.AppendInt(r.stamp[:0], time.Now().UnixNano(), 10)
	}
	return r.whole
}

// readStamp is when a page was sent.
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
