package cachewriter

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// A metaReply is memcached's response to one meta command.
type metaReply struct {
	status string // the two letters; "" for an error line
	line   string // the error line
	opaque string // "": the response has none
	item   metaItem
}

var errMetaReply = errors.New("unexpected response")

// readMetaReply reads one response. After an error the stream cannot be read further.
// It ignores return flags that it does not know, which later versions of memcached
// may add.
func readMetaReply(br *bufio.Reader) (reply metaReply, err error) {
	line, err := readLine(br)
	if err != nil {
		return reply, err
	}
	if isRefusal(line) {
		return metaReply{line: line}, nil
	}
	status, rest, _ := strings.Cut(line, " ")
	reply.status = status
	switch status {
	case "HD", "NS", "EX", "NF", "EN":
	case "VA":
		var size string
		size, rest, _ = strings.Cut(rest, " ")
		if reply.item.size, err = parseSize(size); err != nil {
			return reply, fmt.Errorf("%w %q", errMetaReply, line)
		}
	default:
		return reply, fmt.Errorf("%w %q", errMetaReply, line)
	}
	if err := reply.parseFlags(rest); err != nil {
		return reply, fmt.Errorf("%w %q", errMetaReply, line)
	}
	if status == "VA" {
		reply.item.value, err = readValue(br, reply.item.size)
	}
	return reply, err
}

// readLine returns a line without its end.
func readLine(br *bufio.Reader) (string, error) {
	line, err := br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("%w: a line of more than %d bytes", errMetaReply, len(line))
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

func parseSize(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err == nil && n > maxValue {
		err = strconv.ErrRange
	}
	return int(n), err
}

// readValue allocates memory as bytes arrive: the size may be wrong.
func readValue(br *bufio.Reader, size int) ([]byte, error) {
	if size <= smallValue {
		return readSmallValue(br, size)
	}
	var b bytes.Buffer
	b.Grow(min(size, 1<<20) + bytes.MinRead)
	if _, err := io.CopyN(&b, br, int64(size)); err != nil {
		return nil, eofIsUnexpected(err)
	}
	end, err := readSmallValue(br, 0)
	return append(b.Bytes(), end...), err
}

// smallValue is the size of a value for which memory is allocated at once.
const smallValue = 4 << 10

// readSmallValue reads a value and the end of its line.
func readSmallValue(br *bufio.Reader, size int) ([]byte, error) {
	b := make([]byte, size+len("\r\n"))
	if _, err := io.ReadFull(br, b); err != nil {
		return nil, eofIsUnexpected(err)
	}
	value, ok := bytes.CutSuffix(b, []byte("\r\n"))
	if !ok {
		return nil, fmt.Errorf("%w: a value that is longer than its size", errMetaReply)
	}
	return value, nil
}

func eofIsUnexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *metaReply) parseFlags(s string) error {
	for _, flag := range strings.Fields(s) {
		if err := r.parseFlag(flag[0], flag[1:]); err != nil {
			return err
		}
	}
	return nil
}

func (r *metaReply) parseFlag(flag byte, token string) (err error) {
	switch flag {
	case 'O':
		r.opaque = token
	case 'W':
		r.item.won = true
	case 'X':
		r.item.stale = true
	case 'h':
		r.item.hit = token == "1"
		if token != "0" && token != "1" {
			err = strconv.ErrSyntax
		}
	case 's':
		r.item.size, err = parseSize(token)
	case 't':
		r.item.ttl, err = parseTTL(token)
	case 'l':
		r.item.lastAccess, err = parseSeconds(token)
	case 'f':
		var flags uint64
		flags, err = strconv.ParseUint(token, 10, 32)
		r.item.flags = uint32(flags)
	case 'c':
		r.item.cas, err = strconv.ParseUint(token, 10, 64)
	}
	return err
}

func parseTTL(s string) (time.Duration, error) {
	if s == "-1" {
		return Forever, nil
	}
	return parseSeconds(s)
}

func parseSeconds(s string) (time.Duration, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err == nil && n > math.MaxInt64/uint64(time.Second) {
		err = strconv.ErrRange
	}
	return time.Duration(n) * time.Second, err
}
