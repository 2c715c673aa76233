package uwsgi

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

const (
	maxHead    = 64 << 10
	maxInterim = 8
)

// A Response is the head of a worker's response: plain HTTP/1 or CGI, without a uwsgi
// header in front of it. Body reads its content.
type Response struct {
	StatusCode    int    // 100 to 999; those over 599 have no meaning, but browsers get them
	Reason        string // as sent; may be empty
	Header        Header
	Size          int   // of the head in bytes, as it was read; 0: it was not read
	ContentLength int64 // of the body in bytes; -1: not declared, or Chunked
	Chunked       bool  // the body is in chunks, which Body decodes

	// Ambiguous means that there was a Content-Length beside Transfer-Encoding:
	// chunked. The chunks count (RFC 9112 §6.3), but this may be an attempt to make
	// two readers disagree: such a response must not be stored.
	Ambiguous bool
}

// ReadResponse reads one head and leaves the body in r. It skips up to eight interim
// responses (1xx other than 101). Lines may end in a bare LF, folded lines are
// unfolded with one space, and equal Content-Length lines become one. A head that
// starts with a header line is a CGI head: its Status line gives the status and is
// removed. Without a Status line the status is 302 if there is a Location, else 200.
//
// The error is io.EOF if the stream ends before the first byte, else a *FormatError.
// It wraps io.ErrUnexpectedEOF if the stream ended inside the head, and the reader's
// own error if that failed; in both cases the code is ShortHead, and Offset is the
// number of bytes that were read.
func ReadResponse(r *bufio.Reader) (*Response, error) {
	var offset int64
	for range maxInterim + 1 {
		head, err := readHead(r, offset)
		if err != nil {
			return nil, err
		}
		resp, err := parseHead(head, offset)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == 101 {
			resp.Size = len(head)
			return resp, nil
		}
		offset += int64(len(head))
	}
	return nil, &FormatError{Code: TooManyInterim, What: fmt.Sprintf("more than %d interim responses", maxInterim), Offset: offset}
}

// setLength leaves one Content-Length line, with the value n.
func (r *Response) setLength(n int64) {
	var digits [20]byte
	s := strconv.AppendInt(digits[:0], n, 10)
	if first := r.Header.Get("Content-Length"); first == string(s) {
		r.Header.Set("Content-Length", first) // drops repeats
		return
	}
	r.Header.Set("Content-Length", string(s))
}

// AppendHead appends the head to b: an HTTP/1.1 status line, the lines of Header in
// order, a blank line. It writes Header as it is; see Clean. A CR, LF or NUL in a
// line becomes a space.
func (r *Response) AppendHead(b []byte) []byte { return r.appendHead(b, r.Reason, ": ") }

// AppendShortHead is AppendHead without what has no meaning: the reason, and the
// space behind each colon.
func (r *Response) AppendShortHead(b []byte) []byte { return r.appendHead(b, "", ":") }

// AppendCGIHead is AppendShortHead in the form of CGI, which nginx reads, too: the
// status is in a Status line, or left out if a head without one means it (RFC 3875
// §6.3).
func (r *Response) AppendCGIHead(b []byte) []byte {
	implied := 200
	if r.Header.Has("Location") {
		implied = 302
	}
	if r.StatusCode != implied || len(r.Header) == 0 {
		b = append(b, "Status:"...)
		b = strconv.AppendInt(b, int64(r.StatusCode), 10)
		b = append(b, "\r\n"...)
	}
	return r.appendFields(b, ":")
}

func (r *Response) appendHead(b []byte, reason, colon string) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(r.StatusCode), 10)
	b = append(b, ' ') // even without a reason (RFC 9112 §4)
	b = appendText(b, reason)
	b = append(b, "\r\n"...)
	return r.appendFields(b, colon)
}

func (r *Response) appendFields(b []byte, colon string) []byte {
	for i := range r.Header {
		f := &r.Header[i]
		b = appendText(b, f.Name)
		b = append(b, colon...)
		b = appendText(b, f.Value)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func appendText(b []byte, s string) []byte {
	start := len(b)
	b = append(b, s...)
	for i, c := range b[start:] {
		if c <= '\r' && (c == '\r' || c == '\n' || c == 0) { // in one comparison for most
			b[start+i] = ' '
		}
	}
	return b
}

// Write writes the head in one write: nginx before 1.30.1 and 1.31.0 misreads a
// status line that arrives in two reads.
func (r *Response) Write(w io.Writer) error {
	_, err := w.Write(r.AppendHead(nil))
	return err
}
