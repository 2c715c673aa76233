//go:build linux

package main

import (
	"fmt"
	"strconv"
)

// blockHeader is the length of a packet's header.
const blockHeader = 4

// packetSize is the length of the packet that b begins with; 0: it cannot be told yet.
func packetSize(b []byte) int {
	if len(b) < blockHeader {
		return 0
	}
	return blockHeader + int(b[1]) + int(b[2])<<8
}

// An asked is what the worker reads of a packet.
type asked struct {
	path   string
	length int // of the body
}

// parseBlock is the least that tells the worker what to do; package uwsgi reads
// packets with more care.
func parseBlock(block []byte) (a asked, err error) {
	for len(block) > 0 {
		name, rest, ok := cutText(block)
		if !ok {
			return a, fmt.Errorf("bench: packet ends inside a name")
		}
		value, rest, ok := cutText(rest)
		if !ok {
			return a, fmt.Errorf("bench: packet ends inside the value of %.64q", name)
		}
		block = rest
		switch {
		case string(name) == "REQUEST_URI":
			a.path = string(value)
		case string(name) == "CONTENT_LENGTH" && len(value) > 0:
			if a.length, err = strconv.Atoi(string(value)); err != nil || a.length < 0 {
				return a, fmt.Errorf("bench: CONTENT_LENGTH %.32q is no number of bytes", value)
			}
		}
	}
	return a, nil
}

func cutText(b []byte) (text, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	end := 2 + int(b[0]) + int(b[1])<<8
	if end > len(b) {
		return nil, nil, false
	}
	return b[2:end], b[end:], true
}
