package uwsgi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// readHead returns the lines of a head with the blank one. offset is where it begins
// in the stream.
func readHead(r *bufio.Reader, offset int64) (string, error) {
	if _, err := r.Peek(1); err != nil {
		return "", headEnds(err, offset)
	}
	here, _ := r.Peek(r.Buffered())
	size := headSize(here)
	if size == 0 || size > maxHead {
		return readLines(r, offset)
	}
	head := string(here[:size])
	r.Discard(size) // cannot fail: Peek has seen them
	return head, nil
}

// headSize is the length of the head at the start of b, or 0 if its end is not there.
func headSize(b []byte) int {
	for at := 0; ; {
		line := b[at : at+bytes.IndexByte(b[at:], '\n')+1]
		if len(line) == 0 {
			return 0
		}
		at += len(line)
		if len(trimLine(line)) == 0 {
			return at
		}
	}
}

// headEnds returns the error for a stream that ends inside a head.
func headEnds(err error, at int64) error {
	if err == io.EOF && at == 0 {
		return io.EOF
	}
	return &FormatError{ShortHead, "response ends inside its head", at, unexpected(err)}
}

// readLines is readHead for a head that is not in the reader's buffer as a whole, or
// never ends.
func readLines(r *bufio.Reader, offset int64) (string, error) {
	var head []byte
	for {
		start := len(head)
		var err error
		head, err = appendLine(head, r, maxHead-start)
		end := offset + int64(len(head))
		switch {
		case err == errLineTooLong:
			return "", &FormatError{Code: HeadTooLarge, What: fmt.Sprintf("head over %d bytes", maxHead), Offset: end}
		case err != nil:
			return "", headEnds(err, end)
		}
		if len(trimLine(head[start:])) == 0 {
			return string(head), nil
		}
	}
}

var errLineTooLong = errors.New("uwsgi: line too long")

// appendLine appends the next line, with its LF, to b. The reader's buffer may be
// smaller than the line. A line of more than limit bytes is errLineTooLong. With any
// error, b has what was read of the line.
func appendLine(b []byte, r *bufio.Reader, limit int) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		b = append(b, part...)
		if limit -= len(part); limit < 0 {
			return b, errLineTooLong
		}
		if err != bufio.ErrBufferFull {
			return b, err
		}
	}
}

// trimLine returns a line without its LF or CRLF.
func trimLine[T string | []byte](line T) T {
	n := len(line)
	if n > 0 && line[n-1] == '\n' {
		n--
		if n > 0 && line[n-1] == '\r' {
			n--
		}
	}
	return line[:n]
}

// parseHead parses what readHead returned. The fields are substrings of it. offset is
// where the head begins in the stream.
func parseHead(head string, offset int64) (*Response, error) {
	p := headParser{rest: head, offset: offset}
	resp := &Response{ContentLength: -1}
	isHTTP, err := p.statusLine(resp)
	if err != nil {
		return nil, err
	}
	if resp.Header, err = p.fields(); err != nil {
		return nil, err
	}
	if !isHTTP {
		if err := resp.takeStatus(); err != nil {
			return nil, err
		}
	}
	if err := resp.takeFraming(); err != nil {
		return nil, err
	}
	return resp, nil
}

// A headParser goes through the lines of a head.
type headParser struct {
	rest   string
	offset int64 // of rest
	start  int64 // of the line that next returned last
}

// next returns the next line without its end.
func (p *headParser) next() string {
	size := strings.IndexByte(p.rest, '\n') + 1
	line := p.rest[:size]
	p.rest = p.rest[size:]
	p.start = p.offset
	p.offset += int64(size)
	return trimLine(line)
}

func (p *headParser) bad(c Code, what string) error {
	return &FormatError{Code: c, What: what, Offset: p.start}
}

// statusLine parses "HTTP/d.d SP 3DIGIT [SP reason]". If the first line is a header
// line instead, it consumes nothing and returns false.
func (p *headParser) statusLine(resp *Response) (isHTTP bool, err error) {
	ahead := *p
	line := ahead.next()
	if !isVersion(line) {
		if _, _, ok := cutField(line); ok {
			return false, nil
		}
		return false, ahead.bad(BadStatusLine, "first line is neither a status line nor a header line")
	}
	*p = ahead
	var ok bool
	if resp.StatusCode, resp.Reason, ok = cutStatus(line[len("HTTP/1.1 "):]); !ok || !isText(line) {
		return false, p.bad(BadStatusLine, "malformed status line")
	}
	return true, nil
}

// isVersion reports whether a line starts with "HTTP/d.d ".
func isVersion(line string) bool {
	return len(line) >= len("HTTP/1.1 ") && line[:5] == "HTTP/" && isDigit(line[5]) &&
		line[6] == '.' && isDigit(line[7]) && line[8] == ' '
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// cutStatus parses "3DIGIT [SP reason]".
func cutStatus(s string) (code int, reason string, ok bool) {
	if len(s) < 3 || !isDigit(s[0]) || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0, "", false
	}
	if len(s) > 3 && s[3] != ' ' {
		return 0, "", false
	}
	code = int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	return code, trimBlanks(s[3:]), code >= 100
}

// fields parses the header lines up to the blank one.
func (p *headParser) fields() (Header, error) {
	h := make(Header, 0, strings.Count(p.rest, "\n"))
	for {
		line := p.next()
		if line == "" {
			return h, nil
		}
		if !isText(line) {
			return nil, p.bad(BadHeaderLine, "header line with a NUL or a bare CR")
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(h) == 0 {
				return nil, p.bad(BadHeaderLine, "folded line without a line before it")
			}
			unfold(&h[len(h)-1], line)
			continue
		}
		name, value, ok := cutField(line)
		if !ok {
			return nil, p.bad(BadHeaderLine, "line is not a header field")
		}
		h = append(h, Field{name, value})
	}
}

// unfold replaces an obs-fold by one space (RFC 9112 §5.2).
func unfold(f *Field, line string) {
	f.Value = trimBlanks(f.Value + " " + trimBlanks(line))
}

// cutField splits "name: value"; the name must be a token right before the
// colon (RFC 9112 §5.1).
func cutField(line string) (name, value string, ok bool) {
	n := tokenLen(line)
	if n == 0 || n == len(line) || line[n] != ':' {
		return "", "", false
	}
	return line[:n], trimBlanks(line[n+1:]), true
}

// trimBlanks is strings.Trim with " \t". strings.Trim would build a set of these
// bytes each time.
func trimBlanks(s string) string {
	for s != "" && isBlank(s[0]) {
		s = s[1:]
	}
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// isText reports whether a line has no byte that other readers may understand
// differently. A line has no LF.
func isText(line string) bool {
	return strings.IndexByte(line, 0) < 0 && strings.IndexByte(line, '\r') < 0
}

// tokenLen is the number of bytes at the start of s that a token may have (RFC 9110
// §5.6.2).
func tokenLen(s string) int {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return i
		}
	}
	return len(s)
}

var tokenBytes = func() (ok [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		ok[c] = true
	}
	return ok
}()

// takeStatus sets the status of a CGI head (RFC 3875 §6.3; for a head without Status,
// nginx's ngx_http_uwsgi_process_header).
func (r *Response) takeStatus() error {
	values := r.Header.Values("Status")
	if len(values) == 0 {
		r.StatusCode, r.Reason = 200, "OK"
		if r.Header.Has("Location") {
			r.StatusCode, r.Reason = 302, "Found"
		}
		return nil
	}
	code, reason, ok := cutStatus(values[0])
	if !ok || !same(values) {
		return &FormatError{Code: BadStatusLine, What: "malformed or contradictory Status line", Offset: -1}
	}
	r.StatusCode, r.Reason = code, reason
	r.Header.Del("Status")
	return nil
}

// takeFraming finds out how the body is delimited. It returns an error for what two
// readers may understand differently.
func (r *Response) takeFraming() error {
	for _, f := range r.Header {
		switch {
		case equalName(f.Name, "Transfer-Encoding"):
			if r.Chunked || !equalName(f.Value, "chunked") {
				return &FormatError{Code: BadTransferEncoding, What: "Transfer-Encoding is not a single \"chunked\"", Offset: -1}
			}
			r.Chunked = true
		case equalName(f.Name, "Content-Length"):
			n, ok := parseLengths(f.Value)
			if !ok || r.ContentLength >= 0 && r.ContentLength != n {
				return &FormatError{Code: BadResponseLength, What: "Content-Length is not one decimal number", Offset: -1}
			}
			r.ContentLength = n
		}
	}
	if r.ContentLength >= 0 {
		r.setLength(r.ContentLength)
	}
	if r.Chunked && r.ContentLength >= 0 {
		r.Ambiguous = true
		r.ContentLength = -1
	}
	return nil
}

// parseLengths parses a number, or a list of equal numbers (RFC 9110 §8.6).
func parseLengths(s string) (n int64, ok bool) {
	n = -1
	for part := range strings.SplitSeq(s, ",") {
		m, ok := parseLength(trimBlanks(part))
		if !ok || n >= 0 && n != m {
			return 0, false
		}
		n = m
	}
	return n, true
}
