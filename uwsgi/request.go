package uwsgi

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	headerSize = 4
	maxBlock   = 1<<16 - 1

	modifierWSGI = 0
	modifierPing = 100
)

// Ping and Pong are the two packets of a liveness probe: modifier1 100, no block. A
// server may respond with a Pong whose block holds a warning text.
const (
	Ping = "\x64\x00\x00\x00"
	Pong = "\x64\x00\x00\x01"
)

// A Request is the head of a uwsgi request. Its body follows on the stream;
// ContentLength is its size.
type Request struct {
	Modifier1, Modifier2 uint8
	Vars                 Vars
}

// Limits bound what ReadRequest accepts. The zero value has the defaults.
type Limits struct {
	Block int // bytes of the block; 0: 65535, the most that the packet's header can say
	Vars  int // number of vars; 0: 1000
	Name  int // bytes of one name; 0: 1024

	// Modifiers are the accepted values of modifier1. Nil means 0 (WSGI) and 100
	// (ping). Others are refused as soon as the packet's header has been read: a
	// client that speaks HTTP or TLS seems to announce a block that never comes.
	Modifiers []uint8
}

func (l Limits) block() int { return orDefault(l.Block, maxBlock) }
func (l Limits) vars() int  { return orDefault(l.Vars, 1000) }
func (l Limits) name() int  { return orDefault(l.Name, 1024) }

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

// PageModifiers returns the values of modifier1 with which nginx may request a page,
// for Limits: WSGI, the plugins of other languages and of files, and a ping. A packet
// with another value (spooler, cache, RPC, signals, evaluation of code, …) is not a
// request for a page. HTTP and TLS look like none of these.
func PageModifiers() []uint8 {
	return []uint8{modifierWSGI,
		5, 6, 7, 8, 9, 11, 14, 15, // PSGI, Lua, Rack, JVM, CGI, Go, PHP, Mono
		19, 23, 24, 25, 27, 28, // SSI, XSLT, V8, GridFS, GlusterFS, RADOS
		30, 35, // WSGI with SCRIPT_NAME cut off PATH_INFO, WebDAV
		modifierPing}
}

func (l Limits) accept(modifier1 uint8) bool {
	if l.Modifiers == nil {
		return modifier1 == modifierWSGI || modifier1 == modifierPing
	}
	return slices.Contains(l.Modifiers, modifier1)
}

// ReadRequest is Limits.ReadRequest with the default limits.
func ReadRequest(r *bufio.Reader) (*Request, error) { return Limits{}.ReadRequest(r) }

// ReadRequest reads header and block and leaves the body in r. The error is io.EOF if
// the stream ends before the first byte, else a *FormatError. It wraps
// io.ErrUnexpectedEOF if the stream ended too early, the reader's own error if that
// failed, and nothing if the packet is malformed. The block of a ping is skipped: it
// has no meaning.
func (l Limits) ReadRequest(r *bufio.Reader) (*Request, error) {
	head, err := r.Peek(headerSize)
	if err == io.EOF && len(head) == 0 {
		return nil, io.EOF
	}
	if err != nil {
		return nil, &FormatError{ShortHeader, "packet ends inside its header", int64(len(head)), unexpected(err)}
	}
	if !l.accept(head[0]) {
		return nil, &FormatError{Code: BadModifier, What: refusal(head)}
	}
	size := int(binary.LittleEndian.Uint16(head[1:3]))
	if size > l.block() {
		return nil, &FormatError{Code: BlockTooLarge, What: fmt.Sprintf("block of %d bytes, limit %d", size, l.block()), Offset: 1}
	}
	req := &Request{Modifier1: head[0], Modifier2: head[3]}
	r.Discard(headerSize) // cannot fail: Peek has seen them

	block, err := readBlock(r, size)
	if err != nil {
		return nil, err
	}
	if !req.IsPing() {
		req.Vars, err = l.parse(block)
	}
	if err != nil {
		return nil, err
	}
	return req, nil
}

// unexpected turns an io.EOF inside a message into io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// refusal describes a modifier1 that is not accepted, and the likely mistake.
func refusal(head []byte) string {
	s := fmt.Sprintf("modifier1 %d is not accepted", head[0])
	switch {
	case head[0] == 0x16 && head[1] == 0x03:
		return s + " (looks like TLS: the uwsgi protocol is expected in the clear here)"
	case isMethodStart(head):
		return s + " (looks like HTTP: point uwsgi_pass, not proxy_pass, here)"
	}
	return s
}

// isMethodStart reports whether a packet starts like "GET " or "POST". No ordinary
// uwsgi client sends such a packet.
func isMethodStart(head []byte) bool {
	for i, c := range head {
		if (c < 'A' || c > 'Z') && (c != ' ' || i == 0) {
			return false
		}
	}
	return true
}

// readBlock returns the next size bytes. It allocates only after the first bytes have
// come, so that to announce a block is not free for the sender.
func readBlock(r *bufio.Reader, size int) (string, error) {
	var b strings.Builder
	for b.Len() < size {
		part, err := r.Peek(min(size-b.Len(), r.Size()))
		if err != nil {
			end := int64(headerSize + b.Len() + len(part))
			return "", &FormatError{ShortBlock, fmt.Sprintf("packet ends inside its block of %d bytes", size), end, unexpected(err)}
		}
		b.Grow(size - b.Len())
		b.Write(part)
		r.Discard(len(part)) // cannot fail: Peek has seen them
	}
	return b.String(), nil
}

// parse parses a block. The vars are substrings of it.
func (l Limits) parse(block string) (Vars, error) {
	most, longest := l.vars(), l.name()
	vars := make(Vars, 0, min(countVars(block), most))
	for at := 0; at < len(block); {
		if len(vars) == most {
			return nil, malformed(TooManyVars, fmt.Sprintf("more than %d vars", most), at)
		}
		v, next, err := parseVar(block, at, longest)
		if err != nil {
			return nil, err
		}
		vars = append(vars, v)
		at = next
	}
	return vars, nil
}

// parseVar parses the var at block[at:], whose name may have longest bytes, and
// returns where the next one begins.
func parseVar(block string, at, longest int) (v Var, next int, err error) {
	if len(block)-at < 2 {
		return v, 0, malformed(TrailingBytes, "one byte left over after the last var", at)
	}
	name, next, ok := cutString(block, at)
	if !ok {
		return v, 0, malformed(TruncatedKey, "vars end inside a name", at)
	}
	if len(name) > longest || !validName(name) {
		code, what := whyBadName(name, longest)
		return v, 0, malformed(code, what, at)
	}
	value, end, ok := cutString(block, next)
	if !ok {
		return v, 0, malformed(TruncatedValue, "vars end inside the value of "+name, next)
	}
	return Var{name, value}, end, nil
}

// cutString returns the length-prefixed string at block[at:] and where it ends. It is
// not ok if the string reaches past the block.
func cutString(block string, at int) (s string, end int, ok bool) {
	start := at + 2
	if start > len(block) {
		return "", 0, false
	}
	end = start + stringSize(block, at)
	if end > len(block) {
		return "", 0, false
	}
	return block[start:end], end, true
}

// stringSize is the length field at block[at], which must be there.
func stringSize(block string, at int) int { return int(block[at]) | int(block[at+1])<<8 }

// countVars estimates the number of vars in a block. It is exact if the block is
// well-formed.
func countVars(block string) int {
	halves := 0
	for at := 0; at+2 <= len(block); at += 2 + stringSize(block, at) {
		halves++
	}
	return (halves + 1) / 2
}

// malformed returns the error for the byte at that place of the block.
func malformed(c Code, what string, at int) *FormatError {
	return &FormatError{Code: c, What: what, Offset: int64(headerSize + at)}
}

// whyBadName returns the error for a name that is too long or not valid.
func whyBadName(name string, longest int) (c Code, what string) {
	switch {
	case name == "":
		return EmptyKey, "empty name"
	case len(name) > longest:
		return BadKey, fmt.Sprintf("name of %d bytes, limit %d", len(name), longest)
	}
	return BadKey, fmt.Sprintf("name %.64q holds a byte that no name may hold", name)
}

// validName reports whether a name can be the name of an environment variable and
// breaks no log line.
func validName(name string) bool {
	for i := range len(name) {
		if !nameBytes[name[i]] {
			return false
		}
	}
	return name != ""
}

// nameBytes are the bytes that a name may have. Every name is checked twice, when it
// is read and when it is written.
var nameBytes = func() (ok [256]bool) {
	for c := range ok {
		ok[c] = c >= 0x21 && c != 0x7f && c != '='
	}
	return ok
}()

// IsPing reports whether the request asks only for a Pong.
func (r *Request) IsPing() bool { return r.Modifier1 == modifierPing }

// ContentLength returns the size of the body in bytes: the last value of
// CONTENT_LENGTH, 0 if it is absent or empty. Anything but decimal digits within
// int64 is a *FormatError with the code BadContentLength. So are two different
// values, unless the last one is empty (see Merge): if readers disagree about where a
// request ends, requests can be smuggled.
func (r *Request) ContentLength() (int64, error) {
	var values []string
	for _, v := range r.Vars {
		if v.Name == "CONTENT_LENGTH" {
			values = append(values, v.Value)
		}
	}
	if len(values) > 1 && !same(values) && !takenBack(values) {
		return 0, &FormatError{Code: BadContentLength, What: "CONTENT_LENGTH is given more than once, with different values", Offset: -1}
	}
	s := r.Vars.Get("CONTENT_LENGTH")
	if s == "" {
		return 0, nil
	}
	n, ok := parseLength(s)
	if !ok {
		return 0, &FormatError{Code: BadContentLength, What: fmt.Sprintf("CONTENT_LENGTH %.64q is not a decimal number", s), Offset: -1}
	}
	return n, nil
}

// parseLength parses 1*DIGIT within int64. strconv alone would accept a sign.
func parseLength(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// Size returns the size of the block in bytes. It may be more than a packet can hold.
func (r *Request) Size() int {
	n := 0
	for i := range r.Vars {
		n += 2 + len(r.Vars[i].Name) + 2 + len(r.Vars[i].Value)
	}
	return n
}

// Append appends header and block to b. It returns b unchanged and ErrTooLarge if the
// block is over 65535 bytes, or a *FormatError for a name that ReadRequest would
// refuse.
func (r *Request) Append(b []byte) ([]byte, error) {
	size := r.Size()
	if size > maxBlock {
		return b, ErrTooLarge
	}
	packet := slices.Grow(b, headerSize+size)
	packet = append(packet, r.Modifier1, byte(size), byte(size>>8), r.Modifier2)
	for i := range r.Vars {
		v := &r.Vars[i]
		if !validName(v.Name) {
			return b, &FormatError{Code: BadKey, What: fmt.Sprintf("name %.64q cannot be sent", v.Name), Offset: -1}
		}
		packet = appendString(packet, v.Name)
		packet = appendString(packet, v.Value)
	}
	return packet, nil
}

func appendString(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s))) // fits: Append has bounded the sum
	return append(b, s...)
}

// Write writes header and block in one write. Its errors are those of Append and of
// w.
func (r *Request) Write(w io.Writer) error {
	b, err := r.Append(nil)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
