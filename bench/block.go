//go:build linux

package main

import (
	"fmt"
	"strconv"
)

// blockHeader is the length of a packet's header.
const blockHeader = 4

// packetSize is the length of the packet at the beginning of b; 0: not known yet.
func packetSize(b []byte) int {
	if len(b) < blockHeader {
		return 0
	}
	return blockHeader + int(b[1]) + int(b[2])<<8
}

// An asked is what the worker reads from a packet.
type asked struct {
	path   string
	length int // of the body
}

// parseBlock reads only what the worker needs. Package uwsgi reads packets strictly.
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
