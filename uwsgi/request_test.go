package uwsgi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// block encodes names and values in turn, without checks.
func block(pairs ...string) string {
	var b strings.Builder
	for _, s := range pairs {
		b.Write([]byte{byte(len(s)), byte(len(s) >> 8)})
		b.WriteString(s)
	}
	return b.String()
}

// packet puts a header before a block.
func packet(modifier1 byte, block string) string {
	return string([]byte{modifier1, byte(len(block)), byte(len(block) >> 8), 0}) + block
}

func reader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }

func TestReadRequestMalformed(t *testing.T) {
	small := Limits{Block: 40, Vars: 2, Name: 8}
	for _, tt := range []struct {
		name   string
		in     string
		limits Limits
		code   Code
		offset int64
		what   string // a part of the message
	}{
		{name: "one byte", in: "\x00", code: ShortHeader, offset: 1},
		{name: "three bytes", in: "\x00\x05\x00", code: ShortHeader, offset: 3},
		{name: "no block", in: "\x00\x05\x00\x00", code: ShortBlock, offset: 4},
		{name: "block cut", in: "\x00\x05\x00\x00abc", code: ShortBlock, offset: 7},
		{name: "HTTP GET", in: "GET / HTTP/1.1\r\n\r\n", code: BadModifier, what: "looks like HTTP"},
		{name: "HTTP POST", in: "POST / HTTP/1.1\r\n\r\n", code: BadModifier, what: "looks like HTTP"},
		{name: "TLS", in: "\x16\x03\x01\x02\x00\x01\x00", code: BadModifier, what: "looks like TLS"},
		{name: "spooler", in: packet(17, block("a", "b")), code: BadModifier, what: "modifier1 17 is not accepted"},
		{name: "cache", in: packet(111, ""), code: BadModifier},
		{name: "psgi where php is accepted", in: packet(5, ""), limits: Limits{Modifiers: []uint8{0, 14}}, code: BadModifier},
		{name: "ping where none is accepted", in: Ping, limits: Limits{Modifiers: []uint8{}}, code: BadModifier},
		{name: "refused before the block comes", in: "\x11\xff\xff\x00", code: BadModifier},
		{name: "block over the limit, before it comes", in: "\x00\x29\x00\x00", limits: small, code: BlockTooLarge, offset: 1},
		{name: "too many vars", in: packet(0, block("a", "", "b", "", "c", "")), limits: small, code: TooManyVars, offset: 14},
		{name: "1001 vars", in: packet(0, strings.Repeat(block("a", ""), 1001)), code: TooManyVars, offset: 4 + 5000},
		{name: "long name", in: packet(0, block("ninebytes", "")), limits: small, code: BadKey, offset: 4},
		{name: "name of 1025 bytes", in: packet(0, block(strings.Repeat("N", 1025), "")), code: BadKey, offset: 4},
		{name: "lone byte", in: packet(0, "\x01"), code: TrailingBytes, offset: 4},
		{name: "lone byte after a var", in: packet(0, block("a", "b")+"x"), code: TrailingBytes, offset: 10},
		{name: "empty name", in: packet(0, block("", "v")), code: EmptyKey, offset: 4},
		{name: "empty name later", in: packet(0, block("a", "b", "", "")), code: EmptyKey, offset: 10},
		{name: "name past the block", in: packet(0, "\x05\x00abcd"), code: TruncatedKey, offset: 4},
		{name: "name length 65535", in: packet(0, "\xff\xffabcd"), code: TruncatedKey, offset: 4},
		{name: "no value length", in: packet(0, "\x01\x00a"), code: TruncatedValue, offset: 7},
		{name: "half a value length", in: packet(0, "\x01\x00a\x01"), code: TruncatedValue, offset: 7},
		{name: "value past the block", in: packet(0, "\x01\x00a\x02\x00v"), code: TruncatedValue, offset: 7},
		{name: "value length 65535", in: packet(0, "\x01\x00a\xff\xffv"), code: TruncatedValue, offset: 7},
		{name: "space in a name", in: packet(0, block("A B", "")), code: BadKey, offset: 4},
		{name: "LF in a name", in: packet(0, block("A\nB", "")), code: BadKey, offset: 4},
		{name: "NUL in a name", in: packet(0, block("A\x00", "")), code: BadKey, offset: 4},
		{name: "DEL in a name", in: packet(0, block("A\x7f", "")), code: BadKey, offset: 4},
		{name: "equals sign in a name", in: packet(0, block("A=B", "")), code: BadKey, offset: 4},
		{name: "uwsgi_string that is no var", in: packet(0, block("A", "B")+"foo=bar"), code: TruncatedKey, offset: 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.limits.ReadRequest(reader(tt.in))
			fe := wantCode(t, err, tt.code)
			if fe.Offset != tt.offset {
				t.Errorf("offset %d, want %d: %v", fe.Offset, tt.offset, err)
			}
			if !strings.Contains(err.Error(), tt.what) {
				t.Errorf("error %q does not say %q", err, tt.what)
			}
			short := tt.code == ShortHeader || tt.code == ShortBlock
			if errors.Is(err, io.ErrUnexpectedEOF) != short {
				t.Errorf("error %v wraps io.ErrUnexpectedEOF: %t, want %t", err, !short, short)
			}
		})
	}
}

func TestReadRequestAccepts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		in     string
		limits Limits
		want   Vars
	}{
		{name: "no vars", in: packet(0, ""), want: Vars{}},
		{name: "empty value at the end", in: packet(0, block("A", "1", "B", "")), want: Vars{{"A", "1"}, {"B", ""}}},
		{name: "repeats in order", in: packet(0, block("A", "1", "A", "2")), want: Vars{{"A", "1"}, {"A", "2"}}},
		{name: "values are bytes", in: packet(0, block("A", "\x00\r\n\xff=")), want: Vars{{"A", "\x00\r\n\xff="}}},
		{name: "high bytes in a name", in: packet(0, block("\xc3\xa9", "")), want: Vars{{"\xc3\xa9", ""}}},
		{name: "at the limits", in: packet(0, block("8bytes..", "", "B", "")), limits: Limits{Block: 17, Vars: 2, Name: 8}, want: Vars{{"8bytes..", ""}, {"B", ""}}},
		{name: "another modifier", in: packet(5, block("A", "")), limits: Limits{Modifiers: []uint8{5}}, want: Vars{{"A", ""}}},
		{name: "ping with garbage", in: packet(100, "hello"), want: nil},
		{name: "uwsgi_string that is a var", in: packet(0, block("A", "B")+block("C", "D")), want: Vars{{"A", "B"}, {"C", "D"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			br := reader(tt.in + "body")
			req, err := tt.limits.ReadRequest(br)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(req.Vars, tt.want) {
				t.Errorf("vars %q, want %q", req.Vars, tt.want)
			}
			if body, _ := io.ReadAll(br); string(body) != "body" {
				t.Errorf("left in the reader: %q, want the body", body)
			}
		})
	}
}

func TestReadRequestEndOfStream(t *testing.T) {
	if _, err := ReadRequest(reader("")); err != io.EOF {
		t.Errorf("empty stream: %v, want io.EOF itself", err)
	}
	for _, sent := range []string{"", "\x00", "\x00\x05\x00\x00", "\x00\x05\x00\x00abc"} {
		_, err := ReadRequest(stream([]byte(sent), os.ErrDeadlineExceeded))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("timeout after %q: %v does not wrap it", sent, err)
		}
		if fe, ok := errors.AsType[*FormatError](err); !ok || fe.Offset != int64(len(sent)) {
			t.Errorf("timeout after %q: %v, want a FormatError at byte %d", sent, err, len(sent))
		}
	}
}

// A slow sender and a buffer smaller than the block change nothing.
func TestReadRequestInPieces(t *testing.T) {
	want := &Request{Vars: Vars{{"REQUEST_METHOD", "GET"}, {"HTTP_COOKIE", strings.Repeat("c", 60000)}}}
	b, err := want.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{
		"byte by byte": iotest.OneByteReader(bytes.NewReader(b)),
		"halves":       iotest.HalfReader(bytes.NewReader(b)),
		"data and EOF": iotest.DataErrReader(bytes.NewReader(b)),
	} {
		got, err := ReadRequest(bufio.NewReaderSize(r, 16))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !slices.Equal(got.Vars, want.Vars) {
			t.Errorf("%s: vars %.80q, want %.80q", name, got.Vars, want.Vars)
		}
	}
}

func TestContentLength(t *testing.T) {
	for _, tt := range []struct {
		in   []string // values of CONTENT_LENGTH
		want int64
		bad  bool
	}{
		{in: nil, want: 0},
		{in: []string{""}, want: 0},
		{in: []string{"0"}, want: 0},
		{in: []string{"007"}, want: 7},
		{in: []string{"9223372036854775807"}, want: 1<<63 - 1},
		{in: []string{"7", "7"}, want: 7},
		{in: []string{"7", ""}, want: 0},
		{in: []string{"7", "7", ""}, want: 0},
		{in: []string{"7", "8", ""}, bad: true},
		{in: []string{"9223372036854775808"}, bad: true},
		{in: []string{"18446744073709551617"}, bad: true}, // 1 to a worker, which wraps at 2^64
		{in: []string{"+5"}, bad: true},
		{in: []string{"-5"}, bad: true},
		{in: []string{" 5"}, bad: true},
		{in: []string{"5 "}, bad: true},
		{in: []string{"5abc"}, bad: true},
		{in: []string{"5,5"}, bad: true},
		{in: []string{"1e1"}, bad: true},
		{in: []string{"0x5"}, bad: true},
		{in: []string{"1_0"}, bad: true},
		{in: []string{"٣"}, bad: true},
		{in: []string{"7", "8"}, bad: true},
		{in: []string{"", "8"}, bad: true},
	} {
		req := &Request{}
		for _, s := range tt.in {
			req.Vars = append(req.Vars, Var{"CONTENT_LENGTH", s})
		}
		got, err := req.ContentLength()
		if tt.bad {
			wantCode(t, err, BadContentLength)
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%q: %d, %v; want %d", tt.in, got, err, tt.want)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	for _, name := range []string{"", "A=B", "A B", "A\n"} {
		b, err := (&Request{Vars: Vars{{"OK", "1"}, {name, ""}}}).Append([]byte("before"))
		wantCode(t, err, BadKey)
		if string(b) != "before" {
			t.Errorf("name %q: buffer %q, want it as it was", name, b)
		}
	}
}

func TestWriteInOnePiece(t *testing.T) {
	w := &countingWriter{}
	if err := (&Request{Modifier1: 5, Modifier2: 7, Vars: Vars{{"A", "xy"}}}).Write(w); err != nil {
		t.Fatal(err)
	}
	if want := "\x05\x07\x00\x07\x01\x00A\x02\x00xy"; w.String() != want || w.writes != 1 {
		t.Errorf("%q in %d writes, want %q in one", w.String(), w.writes, want)
	}
	if err := (&Request{Vars: Vars{{"A", strings.Repeat("x", maxBlock)}}}).Write(w); err != ErrTooLarge || w.writes != 1 {
		t.Errorf("oversized: %v after %d writes, want ErrTooLarge and nothing written", err, w.writes-1)
	}
}

type countingWriter struct {
	bytes.Buffer
	writes int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.writes++
	return w.Buffer.Write(p)
}

func FuzzReadRequest(f *testing.F) {
	for _, vec := range readVectors(f).Requests {
		f.Add([]byte(vec.PacketHex))
	}
	f.Add([]byte(packet(0, block("A", "B")+"foo=bar")))
	f.Add([]byte(Ping))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		limits := Limits{Modifiers: []uint8{0, 5, 100, 224}}
		req, err := limits.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			if _, ok := errors.AsType[*FormatError](err); !ok && err != io.EOF {
				t.Fatalf("error %v is no *FormatError", err)
			}
			return
		}
		out, err := req.Append(nil)
		if err != nil {
			t.Fatalf("does not encode again: %v", err)
		}
		if !req.IsPing() && !bytes.Equal(out, in[:len(out)]) {
			t.Fatalf("encoded again\n got %x\nwant %x", out, in[:len(out)])
		}
		again, err := limits.ReadRequest(bufio.NewReader(bytes.NewReader(out)))
		if err != nil || !slices.Equal(again.Vars, req.Vars) {
			t.Fatalf("second reading: %v, %v; want %v", again, err, req)
		}
		if merged, err := req.Vars.Merge(); err == nil {
			testMerged(t, req.Vars, merged)
		}
		req.ContentLength()
	})
}

func BenchmarkReadRequest(b *testing.B) {
	raw := readVectors(b).Requests[1].PacketHex
	src := bytes.NewReader(raw)
	br := bufio.NewReader(src)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(raw)
		br.Reset(src)
		if _, err := ReadRequest(br); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	req, err := ReadRequest(bufio.NewReader(bytes.NewReader(readVectors(b).Requests[1].PacketHex)))
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	b.SetBytes(int64(headerSize + req.Size()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := req.Append(buf[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
