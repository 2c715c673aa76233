package uwsgi

import (
	"bufio"
	"errors"
	"io"
	"math"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
)

func TestBody(t *testing.T) {
	const (
		length  = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
		chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		none    = "HTTP/1.1 200 OK\r\n\r\n"
	)
	for _, tt := range []struct {
		name     string
		in       string
		method   string // "": GET
		end      error  // of the stream; nil: io.EOF
		want     string
		err      error // nil: a clean end
		anyErr   bool  // any error but a clean end
		whole    bool
		trailers bool
		surplus  bool
	}{
		{name: "length", in: length + "hello", want: "hello", whole: true},
		{name: "length, more follows", in: length + "hello world", want: "hello", whole: true, surplus: true},
		{name: "length, short", in: length + "hell", want: "hell", err: io.ErrUnexpectedEOF},
		{name: "length, nothing", in: length, err: io.ErrUnexpectedEOF},
		{name: "length, reset behind it", in: length + "hello", end: syscall.ECONNRESET, want: "hello", whole: true},
		{name: "length, reset before its end", in: length + "hell", end: syscall.ECONNRESET, want: "hell", err: syscall.ECONNRESET},
		{name: "length 0", in: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", whole: true},
		{name: "until the end", in: none + "hello", want: "hello"},
		{name: "until a reset", in: none + "hello", end: syscall.ECONNRESET, want: "hello", err: syscall.ECONNRESET},
		{name: "HEAD", in: length + "hello", method: "HEAD", whole: true, surplus: true},
		{name: "HEAD without a length", in: none, method: "HEAD", whole: true},
		{name: "HEAD, chunked", in: chunked, method: "HEAD", whole: true},
		{name: "204", in: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", whole: true, surplus: true},
		{name: "304", in: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", whole: true},
		{name: "101", in: "HTTP/1.1 101 Switching Protocols\r\n\r\n", whole: true},
		{name: "chunks", in: chunked + "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", want: "hello world", whole: true},
		{name: "chunks, more follows", in: chunked + "5\r\nhello\r\n0\r\n\r\nmore", want: "hello", whole: true, surplus: true},
		{name: "chunks, trailers", in: chunked + "5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", want: "hello", whole: true, trailers: true},
		{name: "chunks, reset behind them", in: chunked + "5\r\nhello\r\n0\r\n\r\n", end: syscall.ECONNRESET, want: "hello", whole: true},
		{name: "chunks, no last line", in: chunked + "5\r\nhello\r\n0\r\n", want: "hello", err: io.ErrUnexpectedEOF},
		{name: "chunks, half a last line", in: chunked + "5\r\nhello\r\n0\r\n\r", want: "hello", err: io.ErrUnexpectedEOF},
		{name: "chunks, end among trailers", in: chunked + "5\r\nhello\r\n0\r\nA: b\r\n", want: "hello", err: io.ErrUnexpectedEOF, trailers: true},
		{name: "chunks, no last chunk", in: chunked + "5\r\nhello\r\n", want: "hello", err: io.ErrUnexpectedEOF},
		{name: "chunks, short", in: chunked + "5\r\nhel", want: "hel", err: io.ErrUnexpectedEOF},
		{name: "chunks, reset", in: chunked + "5\r\nhel", end: syscall.ECONNRESET, want: "hel", err: syscall.ECONNRESET},
		{name: "chunks, none", in: chunked, err: io.ErrUnexpectedEOF},
		{name: "chunks, garbage", in: chunked + "hello world\r\n", anyErr: true},
		{name: "chunks, negative size", in: chunked + "-5\r\nhello\r\n0\r\n\r\n", anyErr: true},
		{name: "chunks, size over 64 bits", in: chunked + "fffffffffffffffff\r\nhello\r\n0\r\n\r\n", anyErr: true},
		{name: "chunks, data past the size", in: chunked + "4\r\nhello\r\n0\r\n\r\n", want: "hell", anyErr: true},
		{name: "chunks, endless trailers", in: chunked + "0\r\n" + strings.Repeat("A: b\r\n", maxHead/6+1) + "\r\n", anyErr: true, trailers: true},
		{name: "chunks beside a length", in: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: "hello", whole: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			end := tt.end
			if end == nil {
				end = io.EOF
			}
			br := bufio.NewReaderSize(io.MultiReader(strings.NewReader(tt.in), failing{end}), 64)
			resp, err := ReadResponse(br)
			if err != nil {
				t.Fatal(err)
			}
			body := resp.Body(br, tt.method)
			got, err := io.ReadAll(body)
			if string(got) != tt.want {
				t.Errorf("body %q, want %q", got, tt.want)
			}
			if tt.anyErr && err == nil || !tt.anyErr && !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v (or any: %t)", err, tt.err, tt.anyErr)
			}
			if body.Whole() != tt.whole || body.Trailers() != tt.trailers || body.Surplus() != tt.surplus {
				t.Errorf("whole %t, trailers %t, surplus %t; want %t, %t, %t",
					body.Whole(), body.Trailers(), body.Surplus(), tt.whole, tt.trailers, tt.surplus)
			}
			if n, again := body.Read(make([]byte, 1)); n != 0 || again == nil {
				t.Errorf("read after the end: %d bytes, %v", n, again)
			}
		})
	}
}

// A body can be read in portions of any size. With its last byte it is known to be
// whole: a worker that keeps the connection open sends no further byte.
func TestBodyWholeWithLastByte(t *testing.T) {
	server := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	br := bufio.NewReader(iotest.OneByteReader(io.MultiReader(strings.NewReader(server), failing{errors.New("read past the end")})))
	resp, err := ReadResponse(br)
	if err != nil {
		t.Fatal(err)
	}
	body := resp.Body(br, "GET")
	if body.Whole() {
		t.Error("whole before the first byte")
	}
	if n, err := body.Read(nil); n != 0 || err != nil {
		t.Errorf("empty read: %d, %v", n, err)
	}
	for i := range 5 {
		if n, err := body.Read(make([]byte, 3)); n != 1 || (err == io.EOF) != (i == 4) {
			t.Fatalf("read %d: %d bytes, %v", i, n, err)
		}
	}
	if !body.Whole() {
		t.Error("not whole after the last byte")
	}
}

// Chunks reach the client as they come, not with the next one.
func TestBodyChunkAtOnce(t *testing.T) {
	server := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
	br := bufio.NewReader(io.MultiReader(strings.NewReader(server), failing{errors.New("read past the chunk")}))
	resp, err := ReadResponse(br)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := resp.Body(br, "GET").Read(buf)
	if string(buf[:n]) != "hello" || err != nil {
		t.Errorf("first read: %q, %v; want the first chunk", buf[:n], err)
	}
}

// Bytes that are read from the stream directly count like those of Read.
func TestBodyTaken(t *testing.T) {
	const unframed = "HTTP/1.1 200 OK\r\n\r\n"
	for _, tt := range []struct {
		name  string
		head  string
		rest  int64
		took  int64
		end   error // that ended the taking
		want  error
		left  int64 // of Rest, afterwards
		whole bool
	}{
		{"all", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 10, 10, nil, io.EOF, 0, true},
		{"all, and a reset", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 10, 10, syscall.ECONNRESET, io.EOF, 0, true},
		{"some", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 10, 4, nil, nil, 6, false},
		{"too little", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 10, 4, io.EOF, io.ErrUnexpectedEOF, 0, false},
		{"without length", unframed, math.MaxInt64, 10, io.EOF, io.EOF, 0, false},
		{"without length, some", unframed, math.MaxInt64, 10, nil, nil, math.MaxInt64, false},
		{"without length, reset", unframed, math.MaxInt64, 10, syscall.ECONNRESET, syscall.ECONNRESET, 0, false},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 0, nil, nil, 0, false},
		{"read already in part", unframed + "x", 0, 0, nil, nil, 0, false},
		{"none", "HTTP/1.1 204 No Content\r\n\r\n", 0, 0, io.EOF, io.EOF, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			br := bufio.NewReader(strings.NewReader(tt.head))
			resp, err := ReadResponse(br)
			if err != nil {
				t.Fatal(err)
			}
			body := resp.Body(br, "GET")
			if got := body.Rest(); got != tt.rest {
				t.Fatalf("Rest is %d, want %d", got, tt.rest)
			}
			if tt.rest > 0 {
				if got := body.Took(tt.took, tt.end); got != tt.want {
					t.Errorf("Took: %v, want %v", got, tt.want)
				}
			}
			if body.Rest() != tt.left || body.Whole() != tt.whole {
				t.Errorf("then Rest is %d and Whole %v, want %d, %v", body.Rest(), body.Whole(), tt.left, tt.whole)
			}
		})
	}
}
