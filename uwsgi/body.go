package uwsgi

import (
	"bufio"
	"io"
	"math"
	"net/http/httputil"
)

// A Body is the content of a Response, without its framing. It ends where the framing
// says and never reads past that. It is not safe for concurrent use.
type Body struct {
	br       *bufio.Reader
	read     func(p []byte) (int, error)
	left     int64     // bytes to come; math.MaxInt64: until the stream ends
	chunks   io.Reader // the data of the chunks, if chunked
	whole    bool
	trailers bool
	err      error // what ended the body; all later calls return it
}

// Body returns the content that follows the head on br, the reader that was passed to
// ReadResponse. A response to HEAD and the statuses 1xx, 204 and 304 have none,
// whatever the header says; the tunnel behind a 101 is not a body. Otherwise the body
// is in chunks, which are decoded, or ends at Content-Length, or where the stream
// ends.
func (r *Response) Body(br *bufio.Reader, method string) *Body {
	b := &Body{br: br}
	switch {
	case method == "HEAD" || bodiless(r.StatusCode):
		b.end()
	case r.Chunked:
		b.chunks = httputil.NewChunkedReader(br)
		b.read = b.readChunked
	case r.ContentLength == 0:
		b.end()
	case r.ContentLength > 0:
		b.left = r.ContentLength
		b.read = b.readCounted
	default:
		b.left = math.MaxInt64
		b.read = br.Read
	}
	return b
}

// bodiless reports whether a status never has content (RFC 9110 §6.4.1).
func bodiless(status int) bool {
	return status < 200 || status == 204 || status == 304
}

// Read returns io.EOF at the end of the body, io.ErrUnexpectedEOF if the stream ends
// before the framing does, and the stream's own error if that comes first. A body
// without length or chunks ends with the stream, so its io.EOF does not prove that it
// is whole; see Whole.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.read(p)
	if b.err == nil {
		b.err = err
	}
	return n, b.err
}

// end marks the end that the framing has proved.
func (b *Body) end() {
	b.whole = true
	b.err = io.EOF
}

// readCounted returns success with the last promised byte even if an error comes with
// it: a worker that has not read the whole request resets the connection right behind
// a complete response.
func (b *Body) readCounted(p []byte) (int, error) {
	n, err := b.br.Read(p[:min(int64(len(p)), b.left)])
	return n, b.count(int64(n), err)
}

func (b *Body) count(n int64, err error) error {
	b.left -= n
	if b.left == 0 {
		b.end()
		return io.EOF
	}
	return unexpected(err)
}

// Rest is the number of bytes of the body that may be read from the stream directly,
// without Read: math.MaxInt64 if the body ends with the stream, 0 if there are none,
// if the body is in chunks, or if the reader has buffered some.
func (b *Body) Rest() int64 {
	if b.err != nil || b.chunks != nil || b.br.Buffered() > 0 {
		return 0
	}
	return b.left
}

// Took records that n bytes of Rest were read from the stream directly, and the error
// that ended this; nil if there was none. It returns the error that Read would have
// returned.
func (b *Body) Took(n int64, err error) error {
	if b.left != math.MaxInt64 {
		err = b.count(n, err)
	}
	b.err = err
	return err
}

func (b *Body) readChunked(p []byte) (int, error) {
	n, err := b.chunks.Read(p)
	if err != io.EOF {
		return n, err
	}
	if err := b.readTrailers(); err != nil {
		return n, err
	}
	b.end()
	return n, io.EOF
}

// readTrailers drops the trailer section behind the last chunk, with its blank line.
func (b *Body) readTrailers() error {
	for size := 0; ; {
		line, err := appendLine(nil, b.br, maxHead-size)
		if err != nil {
			return unexpected(err)
		}
		if len(trimLine(line)) == 0 {
			return nil
		}
		b.trailers = true
		size += len(line)
	}
}

// Whole reports whether the framing has proved the end: all of Content-Length was
// read, or the last chunk and the blank line behind it, or there is no body by
// definition. It stays false for a body that ends with the stream, since a crash
// looks the same.
func (b *Body) Whole() bool { return b.whole }

// Trailers reports whether a chunked body had trailer fields. They are dropped.
func (b *Body) Trailers() bool { return b.trailers }

// Surplus reports whether bytes follow a body that is Whole. An application that
// promises less than it sends has not described its response. Surplus may wait for
// one byte or the end of the stream, so set a read deadline on the connection first.
// If the read fails it returns false. It consumes nothing.
func (b *Body) Surplus() bool {
	if !b.whole {
		return false
	}
	_, err := b.br.Peek(1)
	return err == nil
}
