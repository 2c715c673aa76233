package uwsgi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
)

func TestReadResponse(t *testing.T) {
	long := strings.Repeat("v", 60000)
	for _, tt := range []struct {
		name string
		in   string
		want Response
	}{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", Header: Header{{"Content-Type", "text/html"}, {"Content-Length", "2"}}, ContentLength: 2}},
		{"no lines", "HTTP/1.0 204 No Content\r\n\r\n", Response{StatusCode: 204, Reason: "No Content", ContentLength: -1}},
		{"no reason", "HTTP/1.1 299\r\n\r\n", Response{StatusCode: 299, ContentLength: -1}},
		{"empty reason", "HTTP/1.1 299 \r\n\r\n", Response{StatusCode: 299, ContentLength: -1}},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", Response{StatusCode: 200, Reason: "OK", ContentLength: -1}},
		{"edges of the status", "HTTP/1.1 999 x\r\n\r\n", Response{StatusCode: 999, Reason: "x", ContentLength: -1}},
		{"first status without a class", "HTTP/1.1 600 x\r\n\r\n", Response{StatusCode: 600, Reason: "x", ContentLength: -1}},
		{"CGI status without a class", "Status: 999 x\r\n\r\n", Response{StatusCode: 999, Reason: "x", ContentLength: -1, Header: Header{}}},
		{"bare LF", "HTTP/1.1 200 OK\nA: b\n\n", Response{StatusCode: 200, Reason: "OK", Header: Header{{"A", "b"}}, ContentLength: -1}},
		{"values are trimmed, names kept", "HTTP/1.1 200 OK\r\nx-A: \t b c \t\r\nX-a:\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", Header: Header{{"x-A", "b c"}, {"X-a", ""}}, ContentLength: -1}},
		{"folded", "HTTP/1.1 200 OK\r\nA: b\r\n\t c\r\n  d\r\nE: f\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", Header: Header{{"A", "b c d"}, {"E", "f"}}, ContentLength: -1}},
		{"folded around nothing", "HTTP/1.1 200 OK\r\nA:\r\n b\r\n \r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", Header: Header{{"A", "b"}}, ContentLength: -1}},
		{"repeats in order", "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nVary: A\r\nSet-Cookie: b=2\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", Header: Header{{"Set-Cookie", "a=1"}, {"Vary", "A"}, {"Set-Cookie", "b=2"}}, ContentLength: -1}},
		{"long line", "HTTP/1.1 200 OK\r\nA: " + long + "\r\n\r\n", Response{StatusCode: 200, Reason: "OK", Header: Header{{"A", long}}, ContentLength: -1}},
		{"CGI status", "Content-Type: a\r\nStatus: 404 Not Found\r\nLocation: /\r\n\r\n",
			Response{StatusCode: 404, Reason: "Not Found", Header: Header{{"Content-Type", "a"}, {"Location", "/"}}, ContentLength: -1}},
		{"CGI location", "Location: /x\r\n\r\n", Response{StatusCode: 302, Reason: "Found", Header: Header{{"Location", "/x"}}, ContentLength: -1}},
		{"CGI default", "content-type: a\r\n\r\n", Response{StatusCode: 200, Reason: "OK", Header: Header{{"content-type", "a"}}, ContentLength: -1}},
		{"status line wins over Status", "HTTP/1.1 200 OK\r\nStatus: 404\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", Header: Header{{"Status", "404"}}, ContentLength: -1}},
		{"interim responses", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nStatus: 102\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", ContentLength: -1}},
		{"eight interim responses", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 8) + "HTTP/1.1 200 OK\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", ContentLength: -1}},
		{"switching protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
			Response{StatusCode: 101, Reason: "Switching Protocols", Header: Header{{"Upgrade", "x"}}, ContentLength: -1}},
		{"equal lengths collapse", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\ncontent-length: 5, 05\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", Header: Header{{"Content-Length", "5"}, {"A", "b"}}, ContentLength: 5}},
		{"list of equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5,5\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", Header: Header{{"Content-Length", "5"}}, ContentLength: 5}},
		{"chunked in any case", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", Header: Header{{"Transfer-Encoding", "Chunked"}}, ContentLength: -1, Chunked: true}},
		{"length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
			Response{StatusCode: 200, Reason: "OK", Header: Header{{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}}, ContentLength: -1, Chunked: true, Ambiguous: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.in + "body"), iotest.OneByteReader(strings.NewReader(tt.in + "body"))} {
				br := bufio.NewReaderSize(r, 16)
				got, err := ReadResponse(br)
				if err != nil {
					t.Fatal(err)
				}
				wantResponse(t, got, &tt.want)
				if body, _ := io.ReadAll(br); string(body) != "body" {
					t.Errorf("left in the reader: %.80q, want the body", body)
				}
			}
		})
	}
}

func wantResponse(t *testing.T, got, want *Response) {
	t.Helper()
	if !slices.Equal(got.Header, want.Header) {
		t.Errorf("header\n got %.300q\nwant %.300q", got.Header, want.Header)
	}
	if got.StatusCode != want.StatusCode || got.Reason != want.Reason {
		t.Errorf("status %d %q, want %d %q", got.StatusCode, got.Reason, want.StatusCode, want.Reason)
	}
	if got.ContentLength != want.ContentLength || got.Chunked != want.Chunked || got.Ambiguous != want.Ambiguous {
		t.Errorf("length %d, chunked %t, ambiguous %t; want %d, %t, %t",
			got.ContentLength, got.Chunked, got.Ambiguous, want.ContentLength, want.Chunked, want.Ambiguous)
	}
}

func TestReadResponseMalformed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		in     string
		code   Code
		offset int64
	}{
		{"status 99", "HTTP/1.1 099 x\r\n\r\n", BadStatusLine, 0},
		{"status 000", "HTTP/1.1 000 x\r\n\r\n", BadStatusLine, 0},
		{"status 1000", "HTTP/1.1 1000 x\r\n\r\n", BadStatusLine, 0},
		{"CGI status 99", "Status: 99\r\n\r\n", BadStatusLine, -1},
		{"two digits", "HTTP/1.1 20 x\r\n\r\n", BadStatusLine, 0},
		{"four digits", "HTTP/1.1 2000 x\r\n\r\n", BadStatusLine, 0},
		{"no status", "HTTP/1.1 \r\n\r\n", BadStatusLine, 0},
		{"words for a status", "HTTP/1.1 abc\r\n\r\n", BadStatusLine, 0},
		{"HTTP/2", "HTTP/2 200 OK\r\n\r\n", BadStatusLine, 0},
		{"echoed SERVER_PROTOCOL", "BOGUS 200 OK\r\n\r\n", BadStatusLine, 0},
		{"blank first line", "\r\nHTTP/1.1 200 OK\r\n\r\n", BadStatusLine, 0},
		{"folded first line", " A: b\r\n\r\n", BadStatusLine, 0},
		{"NUL in the reason", "HTTP/1.1 200 O\x00K\r\n\r\n", BadStatusLine, 0},
		{"bare CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n", BadStatusLine, 0},
		{"CGI status that is none", "Status: abc\r\n\r\n", BadStatusLine, -1},
		{"CGI statuses that disagree", "Status: 200 OK\r\nStatus: 404\r\n\r\n", BadStatusLine, -1},
		{"no colon", "HTTP/1.1 200 OK\r\nnocolon\r\n\r\n", BadHeaderLine, 17},
		{"no name", "HTTP/1.1 200 OK\r\n: x\r\n\r\n", BadHeaderLine, 17},
		{"space before the colon", "HTTP/1.1 200 OK\r\nA: b\r\nB : c\r\n\r\n", BadHeaderLine, 23},
		{"name that is no token", "HTTP/1.1 200 OK\r\nA(: b\r\n\r\n", BadHeaderLine, 17},
		{"high byte in a name", "HTTP/1.1 200 OK\r\nA\xff: b\r\n\r\n", BadHeaderLine, 17},
		{"NUL in a value", "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", BadHeaderLine, 17},
		{"bare CR in a value", "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n", BadHeaderLine, 17},
		{"two CRs at the end", "HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n", BadHeaderLine, 17},
		{"NUL in a folded line", "HTTP/1.1 200 OK\r\nA: b\r\n \x00\r\n\r\n", BadHeaderLine, 23},
		{"fold without a line before", "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", BadHeaderLine, 17},
		{"bad line behind an interim response", "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\r\nnocolon\r\n\r\n", BadHeaderLine, 35},
		{"length that is a word", "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n", BadResponseLength, -1},
		{"empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", BadResponseLength, -1},
		{"signed length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", BadResponseLength, -1},
		{"length over int64", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", BadResponseLength, -1},
		{"lengths that disagree", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", BadResponseLength, -1},
		{"list that disagrees", "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n", BadResponseLength, -1},
		{"list with a gap", "HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\n", BadResponseLength, -1},
		{"gzip coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", BadTransferEncoding, -1},
		{"identity coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", BadTransferEncoding, -1},
		{"chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", BadTransferEncoding, -1},
		{"chunked with a Kelvin sign", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chun\u212aed\r\n\r\n", BadTransferEncoding, -1},
		{"empty coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n", BadTransferEncoding, -1},
		{"nine interim responses", strings.Repeat("HTTP/1.1 100 x\r\n\r\n", 9), TooManyInterim, 9 * 18},
		{"head over 64 KiB", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("v", 65536) + "\r\n\r\n", HeadTooLarge, 0},
		{"many lines over 64 KiB", "HTTP/1.1 200 OK\r\n" + strings.Repeat("Name: value\r\n", 6000), HeadTooLarge, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadResponse(reader(tt.in))
			fe := wantCode(t, err, tt.code)
			if fe.Offset != tt.offset && tt.code != HeadTooLarge {
				t.Errorf("offset %d, want %d: %v", fe.Offset, tt.offset, err)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v blames the stream", err)
			}
		})
	}
}

func TestHeadLimit(t *testing.T) {
	head := func(size int) string {
		const frame = "HTTP/1.1 200 OK\r\nA: \r\n\r\n"
		return "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("v", size-len(frame)) + "\r\n\r\n"
	}
	if _, err := ReadResponse(reader(head(maxHead))); err != nil {
		t.Errorf("head of 64 KiB: %v", err)
	}
	_, err := ReadResponse(reader(head(maxHead + 1)))
	wantCode(t, err, HeadTooLarge)
}

func TestReadResponseEndOfStream(t *testing.T) {
	if _, err := ReadResponse(reader("")); err != io.EOF {
		t.Errorf("zero-byte close: %v, want io.EOF itself", err)
	}
	for _, sent := range []string{"H", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\nA: b\r\n", "HTTP/1.1 200 OK\r\n\r", "HTTP/1.1 100 x\r\n\r\n"} {
		_, err := ReadResponse(reader(sent))
		if fe := wantCode(t, err, ShortHead); !errors.Is(err, io.ErrUnexpectedEOF) || fe.Offset != int64(len(sent)) {
			t.Errorf("end after %q: %v", sent, err)
		}
	}
	for _, cause := range []error{syscall.ECONNRESET, os.ErrDeadlineExceeded} {
		for _, sent := range []string{"", "HTTP/1.1 200 OK\r\n"} {
			_, err := ReadResponse(stream([]byte(sent), cause))
			if fe := wantCode(t, err, ShortHead); !errors.Is(err, cause) || fe.Offset != int64(len(sent)) {
				t.Errorf("%v after %q: %v", cause, sent, err)
			}
		}
	}
}

// The system reports a reset once; the next read returns an ordinary end.
func TestReadResponseReset(t *testing.T) {
	for _, came := range []string{"", "HTTP/1.1 200 OK\r\n"} {
		reset := errors.New("connection reset by peer")
		_, err := ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(came), &failingOnce{reset})))
		if !errors.Is(err, reset) {
			t.Errorf("behind %q: %v, want the reset", came, err)
		}
	}
}

// failingOnce returns its error, and after that the end.
type failingOnce struct{ err error }

func (f *failingOnce) Read([]byte) (int, error) {
	err := f.err
	f.err = io.EOF
	return 0, err
}

func TestClean(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   Response
		want Header
	}{
		{"nothing to do", Response{StatusCode: 200, Header: Header{{"A", "b"}, {"Content-Length", "5"}, {"C", "d"}}, ContentLength: 5},
			Header{{"A", "b"}, {"Content-Length", "5"}, {"C", "d"}}},
		{"hop-by-hop lines", Response{StatusCode: 200, ContentLength: -1, Header: Header{
			{"connection", "close, X-Hop"}, {"Keep-Alive", "1"}, {"A", "b"}, {"Proxy-Connection", "x"}, {"x-hop", "y"},
			{"TE", "x"}, {"Trailer", "x"}, {"Upgrade", "h2c"}, {"Connection", " ,x-other"}, {"X-Other", "z"}, {"X-Hop-2", "stays"}}},
			Header{{"A", "b"}, {"X-Hop-2", "stays"}}},
		{"Connection cannot hide what is end-to-end", Response{StatusCode: 200, ContentLength: 1, Header: Header{
			{"Connection", "Set-Cookie, cache-control, content-length, Content-Type, X-Accel-Expires"}, {"Set-Cookie", "a"},
			{"Cache-Control", "private"}, {"Content-Length", "1"}, {"Content-Type", "t"}, {"X-Accel-Expires", "0"}}},
			Header{{"Set-Cookie", "a"}, {"Cache-Control", "private"}, {"Content-Length", "1"}, {"Content-Type", "t"}, {"X-Accel-Expires", "0"}}},
		{"chunks are decoded", Response{StatusCode: 200, Header: Header{{"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}}, ContentLength: -1, Chunked: true}, nil},
		{"length that the gateway found", Response{StatusCode: 200, Header: Header{{"A", "b"}}, ContentLength: 7}, Header{{"A", "b"}, {"Content-Length", "7"}}},
		{"length that the gateway changed", Response{StatusCode: 200, Header: Header{{"content-length", "5"}, {"A", "b"}, {"Content-Length", "5"}}, ContentLength: 7},
			Header{{"content-length", "7"}, {"A", "b"}}},
		{"no length", Response{StatusCode: 200, Header: Header{{"Content-Length", "5"}}, ContentLength: -1}, nil},
		{"204", Response{StatusCode: 204, Header: Header{{"Content-Length", "0"}}, ContentLength: 0}, nil},
		{"304 has the length of the 200", Response{StatusCode: 304, Header: Header{{"Content-Length", "9"}}, ContentLength: 9}, Header{{"Content-Length", "9"}}},
		{"101", Response{StatusCode: 101, Header: Header{{"Connection", "upgrade, X"}, {"X", "y"}, {"upgrade", "websocket"}, {"Content-Length", "0"}}, ContentLength: 0},
			Header{{"upgrade", "websocket"}, {"Connection", "Upgrade"}}},
		{"426 says what to upgrade to", Response{StatusCode: 426, Header: Header{{"Connection", "Upgrade, X"}, {"Upgrade", "websocket"}, {"X", "y"}, {"Content-Length", "2"}}, ContentLength: 2},
			Header{{"Upgrade", "websocket"}, {"Content-Length", "2"}}},
		{"426 without a Connection line", Response{StatusCode: 426, Header: Header{{"upgrade", "h2c, TLS/1.3"}, {"TE", "x"}}, ContentLength: 0},
			Header{{"upgrade", "h2c, TLS/1.3"}, {"Content-Length", "0"}}},
		{"101 to nothing", Response{StatusCode: 101, Header: Header{{"Connection", "close"}}, ContentLength: -1}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Clean()
			if !slices.Equal(tt.in.Header, tt.want) {
				t.Errorf("%q, want %q", tt.in.Header, tt.want)
			}
			tt.in.Clean()
			if !slices.Equal(tt.in.Header, tt.want) {
				t.Errorf("cleaned twice: %q, want %q", tt.in.Header, tt.want)
			}
		})
	}
}

func TestResponseWrite(t *testing.T) {
	resp := &Response{StatusCode: 404, Reason: "Not\r\nFound", Header: Header{{"A", "b"}, {"Evil", "x\r\nSet-Cookie: y\x00"}, {"N\r\nX", "\xff"}}}
	w := &countingWriter{}
	if err := resp.Write(w); err != nil {
		t.Fatal(err)
	}
	want := "HTTP/1.1 404 Not  Found\r\nA: b\r\nEvil: x  Set-Cookie: y \r\nN  X: \xff\r\n\r\n"
	if w.String() != want || w.writes != 1 {
		t.Errorf("%q in %d writes, want %q in one", w.String(), w.writes, want)
	}
	if got := string((&Response{StatusCode: 299}).AppendHead([]byte("before "))); got != "before HTTP/1.1 299 \r\n\r\n" {
		t.Errorf("no reason: %q", got)
	}
}

func TestHeader(t *testing.T) {
	h := Header{{"Vary", "A"}, {"X", "1"}, {"vary", "B"}}
	if !h.Has("VARY") || h.Has("Var") || h.Get("VARY") != "A" || h.Get("none") != "" {
		t.Errorf("Has or Get: %q", h)
	}
	if got := h.Values("Vary"); !slices.Equal(got, []string{"A", "B"}) {
		t.Errorf("Values(Vary) = %q", got)
	}
	kept := h.Clone()
	h.Set("VARY", "C")
	if want := (Header{{"Vary", "C"}, {"X", "1"}}); !slices.Equal(h, want) {
		t.Errorf("Set: %q, want %q", h, want)
	}
	h.Set("New", "n")
	h.Add("X", "2")
	if want := (Header{{"Vary", "C"}, {"X", "1"}, {"New", "n"}, {"X", "2"}}); !slices.Equal(h, want) {
		t.Errorf("Set and Add: %q, want %q", h, want)
	}
	h.Del("x")
	if want := (Header{{"Vary", "C"}, {"New", "n"}}); !slices.Equal(h, want) {
		t.Errorf("Del: %q, want %q", h, want)
	}
	if want := (Header{{"Vary", "A"}, {"X", "1"}, {"vary", "B"}}); !slices.Equal(kept, want) {
		t.Errorf("Clone changed: %q, want %q", kept, want)
	}
}

// A reader with a larger buffer does not allow longer heads.
func TestHeadTooLargeIsSoInAnyReader(t *testing.T) {
	in := "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("v", maxHead) + "\r\n\r\n"
	for _, size := range []int{16, 4 << 10, 2 * maxHead} {
		_, err := ReadResponse(bufio.NewReaderSize(strings.NewReader(in), size))
		wantCode(t, err, HeadTooLarge)
	}
}

func FuzzReadResponse(f *testing.F) {
	for _, vec := range readVectors(f).Responses {
		f.Add([]byte(vec.ResponseHex), "GET")
	}
	f.Add([]byte("Status: 404 Not Found\r\nLocation: /\n\n"), "HEAD")
	f.Add([]byte("HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200\r\nA:\r\n\tb\r\nContent-Length: 1, 01\r\n\r\nx"), "GET")
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nT: u\r\n\r\nmore"), "GET")
	f.Fuzz(func(t *testing.T, in []byte, method string) {
		br := bufio.NewReader(bytes.NewReader(in))
		resp, err := ReadResponse(br)
		slow, slowErr := ReadResponse(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(in))))
		if fmt.Sprint(err) != fmt.Sprint(slowErr) {
			t.Fatalf("error %v, byte by byte %v", err, slowErr)
		}
		if err == nil {
			wantResponse(t, slow, resp)
		}
		if err != nil {
			if _, ok := errors.AsType[*FormatError](err); !ok && err != io.EOF {
				t.Fatalf("error %v is no *FormatError", err)
			}
			return
		}
		body := resp.Body(br, method)
		content, err := io.ReadAll(body)
		if body.Whole() && err != nil {
			t.Fatalf("whole body with the error %v", err)
		}
		if resp.ContentLength >= 0 && int64(len(content)) > resp.ContentLength {
			t.Fatalf("%d bytes of a body of %d", len(content), resp.ContentLength)
		}
		resp.Clean()
		head := resp.AppendHead(nil)
		if len(head) > maxHead {
			return // bare LFs have grown to CRLFs
		}
		again, err := ReadResponse(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			t.Fatalf("clean head %q: %v", head, err)
		}
		want := *resp
		want.Chunked, want.Ambiguous = false, false
		if !again.Header.Has("Content-Length") {
			want.ContentLength = -1
		}
		wantResponse(t, again, &want)
	})
}

func BenchmarkReadResponse(b *testing.B) {
	raw := []byte(benchHead)
	src := bytes.NewReader(raw)
	br := bufio.NewReader(src)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(raw)
		br.Reset(src)
		if _, err := ReadResponse(br); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendHead(b *testing.B) {
	resp, err := ReadResponse(reader(benchHead))
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	b.SetBytes(int64(len(benchHead)))
	b.ReportAllocs()
	for b.Loop() {
		resp.AppendHead(buf[:0])
	}
}

func BenchmarkCloneAndAdd(b *testing.B) {
	resp, err := ReadResponse(reader(benchHead))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		h := resp.Header.Clone()
		h.Add("Cache-Status", "uwgate; fwd=miss")
	}
}

func BenchmarkClean(b *testing.B) {
	resp, err := ReadResponse(reader(benchHead))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		resp.Clean()
	}
}

// benchHead is the head of a stock Django page.
const benchHead = "HTTP/1.1 200 OK\r\n" +
	"Content-Type: text/html; charset=utf-8\r\n" +
	"Expires: Wed, 01 Jul 2026 10:10:00 GMT\r\n" +
	"Cache-Control: max-age=600\r\n" +
	"X-Frame-Options: DENY\r\n" +
	"Content-Length: 12345\r\n" +
	"Vary: Accept-Encoding\r\n" +
	"X-Content-Type-Options: nosniff\r\n" +
	"Referrer-Policy: same-origin\r\n" +
	"Cross-Origin-Opener-Policy: same-origin\r\n\r\n"
