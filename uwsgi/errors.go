package uwsgi

import (
	"errors"
	"strconv"
)

// ErrTooLarge is returned by Request.Append and Request.Write if the vars do not fit
// into a block of 65535 bytes. A client can cause it with large headers. It is a
// reason for a 431 and says nothing about the backend.
var ErrTooLarge = errors.New("uwsgi: vars do not fit into a block of 65535 bytes")

// A Code names a kind of malformed input. Codes are stable: they are log fields and
// metric labels.
type Code string

// Codes of malformed requests.
const (
	ShortHeader      Code = "short_header"       // the stream ended or failed inside the four bytes of the header
	ShortBlock       Code = "short_block"        // the stream ended or failed inside the block
	BadModifier      Code = "bad_modifier"       // modifier1 is not accepted here
	BlockTooLarge    Code = "block_too_large"    // the header announces more than Limits.Block
	TooManyVars      Code = "too_many_vars"      // more than Limits.Vars
	TruncatedKey     Code = "truncated_key"      // a name reaches past the block
	TruncatedValue   Code = "truncated_value"    // a value or its length reaches past the block
	EmptyKey         Code = "empty_key"          // a name of length zero
	BadKey           Code = "bad_key"            // a name with a byte below 0x21, 0x7f or '=', or longer than Limits.Name
	TrailingBytes    Code = "trailing_bytes"     // a lone byte after the last var
	BadContentLength Code = "bad_content_length" // CONTENT_LENGTH is not a decimal number that fits int64
	DuplicateVar     Code = "duplicate_var"      // a var that may occur once was sent with different values
	ForbiddenVar     Code = "forbidden_var"      // for packages that filter vars; this one never returns it
)

// Codes of malformed responses.
const (
	ShortHead           Code = "short_head"            // the stream ended or failed inside the head
	BadStatusLine       Code = "bad_status_line"       // neither a status line nor the start of a CGI head
	BadHeaderLine       Code = "bad_header_line"       // a line that is no header field
	HeadTooLarge        Code = "head_too_large"        // over 64 KiB
	TooManyInterim      Code = "too_many_interim"      // more than eight 1xx heads before the response
	BadResponseLength   Code = "bad_response_length"   // Content-Length is not a number, or not one number
	BadTransferEncoding Code = "bad_transfer_encoding" // anything but a single "chunked"
)

// A FormatError says where and how input departs from the protocol, or that it ended
// too early.
type FormatError struct {
	Code   Code
	What   string // for people; never holds the value of a var or header
	Offset int64  // of the wrong byte, from the first byte of the packet or response; negative: no byte of its own
	Err    error  // the reader's error, io.ErrUnexpectedEOF if the stream ended; nil if the bytes are wrong
}

func (e *FormatError) Error() string {
	s := "uwsgi: " + e.What
	if e.Offset >= 0 {
		s += " at byte " + strconv.FormatInt(e.Offset, 10)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err, so that errors.Is and errors.As find timeouts and resets.
func (e *FormatError) Unwrap() error { return e.Err }
