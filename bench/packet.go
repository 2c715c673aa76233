//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"uwgate/uwsgi"
)

// A packet is a request that is sent many times, each time with another number, so that
// no page is requested twice. It is not safe for concurrent use.
type packet struct {
	bytes   []byte
	numbers []int // offsets of the number
	hosts   []int // offsets of the host's number
	serial  *atomic.Int64
	pools   int // number of hosts, which are requested in turn
}

// digits is the length of a number. A mark of the same length holds its place.
const (
	digits     = 9
	numberMark = "#########"
	hostMark   = "$$$$$$$$$"
)

// A question describes the request of a packet.
type question struct {
	path  string // a path of the worker's script; the number is appended
	body  int    // bytes of an upload
	pools int    // hosts, requested in turn; 0: one
	store string // the memcached in which nginx looked and missed; "": none
}

// newPacket makes the packet as nginx would with its uwsgi_params, a browser's headers
// and the params that `uwgate nginx` adds. Numbers come from serial.
func newPacket(q question, serial *atomic.Int64) (*packet, error) {
	uri := q.path + numberMark
	host := "www" + hostMark + ".example.com"
	method, length := "GET", ""
	if q.body > 0 {
		method, length = "POST", strconv.Itoa(q.body)
	}
	vars := uwsgi.Vars{
		{Name: "QUERY_STRING", Value: ""},
		{Name: "REQUEST_METHOD", Value: method},
		{Name: "CONTENT_TYPE", Value: strings.Repeat("application/octet-stream", min(q.body, 1))},
		{Name: "CONTENT_LENGTH", Value: length},
		{Name: "REQUEST_URI", Value: uri},
		{Name: "PATH_INFO", Value: uri},
		{Name: "DOCUMENT_ROOT", Value: "/var/www/html"},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
		{Name: "REQUEST_SCHEME", Value: "http"},
		{Name: "REMOTE_ADDR", Value: "192.0.2.17"},
		{Name: "REMOTE_PORT", Value: "51724"},
		{Name: "SERVER_PORT", Value: "80"},
		{Name: "SERVER_NAME", Value: "www.example.com"},
		{Name: "HTTP_HOST", Value: host},
	}
	if q.store != "" {
		vars = append(vars,
			uwsgi.Var{Name: "CACHE_KEY", Value: "http://" + host + uri},
			uwsgi.Var{Name: "CACHE_STATUS", Value: "404"},
			uwsgi.Var{Name: "CACHE_SERVER", Value: q.store})
	}
	vars = append(vars,
		uwsgi.Var{Name: "HTTP_CONNECTION", Value: "keep-alive"},
		uwsgi.Var{Name: "HTTP_USER_AGENT", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
		uwsgi.Var{Name: "HTTP_ACCEPT", Value: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		uwsgi.Var{Name: "HTTP_ACCEPT_LANGUAGE", Value: "en-US,en;q=0.5"},
		uwsgi.Var{Name: "HTTP_ACCEPT_ENCODING", Value: "gzip, deflate, br"})
	block, err := (&uwsgi.Request{Vars: vars}).Append(nil)
	if err != nil {
		return nil, fmt.Errorf("bench: packet: %w", err)
	}
	p := &packet{bytes: block, serial: serial, pools: max(q.pools, 1)}
	p.numbers, p.hosts = places(block, numberMark), places(block, hostMark)
	p.bytes = append(p.bytes, bytes.Repeat([]byte("u"), q.body)...)
	return p, nil
}

// places returns the offsets of text.
func places(b []byte, text string) []int {
	var all []int
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(text))
		if i < 0 {
			return all
		}
		all = append(all, at+i)
		at += i + len(text)
	}
}

// next returns the packet with the next number. It is valid until the next call.
func (p *packet) next() []byte {
	n := p.serial.Add(1)
	for _, at := range p.numbers {
		putNumber(p.bytes[at:at+digits], n)
	}
	for _, at := range p.hosts {
		putNumber(p.bytes[at:at+digits], n%int64(p.pools))
	}
	return p.bytes
}

// putNumber fills b with n's last digits, with zeros before them.
func putNumber(b []byte, n int64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}
