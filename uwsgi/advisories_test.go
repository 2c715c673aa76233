package uwsgi

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
)

// mod_proxy_uwsgi summed the size of the block in 16 bits: with a large header
// the size wrapped, and what was left of the vars and the body was read as the
// next packet.
func TestCVE_2020_11984_SizeWrap(t *testing.T) {
	for _, tt := range []struct {
		name string
		vars Vars
	}{
		{"one value of 70000 bytes", Vars{{"HTTP_COOKIE", strings.Repeat("c", 70000)}}},
		{"value that wraps to 0", Vars{{"A", strings.Repeat("c", 1<<16-5)}}},
		{"name that wraps", Vars{{strings.Repeat("N", 1<<16+1), "v"}}},
		{"sum that wraps", Vars{{"A", strings.Repeat("c", 40000)}, {"B", strings.Repeat("c", 40000)}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := (&Request{Vars: tt.vars}).Append(nil)
			if err != ErrTooLarge || len(b) > 0 {
				t.Errorf("%d bytes, %v; want none and ErrTooLarge", len(b), err)
			}
		})
	}

	largest := &Request{Vars: Vars{{"A", strings.Repeat("c", maxBlock-5)}}}
	b, err := largest.Append(nil)
	if err != nil || len(b) != headerSize+maxBlock {
		t.Fatalf("largest block: %d bytes, %v; want %d", len(b), err, headerSize+maxBlock)
	}
	got, err := ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil || !slices.Equal(got.Vars, largest.Vars) {
		t.Errorf("largest block does not come back: %v", err)
	}
}

// mod_proxy_uwsgi read past the end of a request's URI. A length that reaches
// past the block must not make us read on, not even into the body.
func TestCVE_2021_36160_OverRead(t *testing.T) {
	vars := block("REQUEST_METHOD", "GET")
	for _, in := range []string{
		packet(0, vars+"\x0b\x00REQUEST_URI\x20\x00/short"),
		packet(0, vars+"\x20\x00REQUEST_URI"),
	} {
		req, err := ReadRequest(reader(in + strings.Repeat("secret of the body ", 10)))
		if err == nil {
			t.Errorf("%q was read as %q", in, req.Vars)
		}
	}
}

// Response smuggling through mod_proxy_uwsgi: what one reader treats as a header
// line or a body must not be the next response for another.
func TestCVE_2023_27522_HeaderInjection(t *testing.T) {
	for _, in := range []string{
		"HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
		"HTTP/1.1 200 OK\rSet-Cookie: c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
	} {
		if resp, err := ReadResponse(reader(in)); err == nil {
			t.Errorf("%q was read as %q", in, resp.Header)
		}
	}
	injected := &Response{StatusCode: 302, Header: Header{{"Location", "/\r\nSet-Cookie: c\r\n\r\n<script>"}}, ContentLength: -1}
	got, err := ReadResponse(bufio.NewReader(bytes.NewReader(injected.AppendHead(nil))))
	if err != nil || len(got.Header) != 1 {
		t.Errorf("injected line comes out as %v, %v; want one line", got, err)
	}
}

func TestCVE_2024_24795_SplitByLengths(t *testing.T) {
	for _, lines := range []string{
		"Content-Length: 5\r\nContent-Length: 50\r\n",
		"Content-Length: 5\r\nContent-Length: abc\r\n",
		"Content-Length: 5, 50\r\n",
		"Transfer-Encoding: chunked, identity\r\n",
		"Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
	} {
		if resp, err := ReadResponse(reader("HTTP/1.1 200 OK\r\n" + lines + "\r\n")); err == nil {
			t.Errorf("%q was read with length %d, chunked %t", lines, resp.ContentLength, resp.Chunked)
		}
	}
}

// With both framings the chunks count, what is written has neither line, and
// the contradiction stays visible to those who decide about storing.
func TestCVE_2026_63718_LengthBesideChunks(t *testing.T) {
	for _, lines := range []string{
		"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
	} {
		br := reader("HTTP/1.1 200 OK\r\n" + lines + "\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
		resp, err := ReadResponse(br)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body(br, "GET"))
		if string(body) != "hello" || err != nil || !resp.Ambiguous {
			t.Errorf("body %q, %v, ambiguous %t; want hello, marked", body, err, resp.Ambiguous)
		}
		resp.Clean()
		if head := string(resp.AppendHead(nil)); head != "HTTP/1.1 200 OK\r\n\r\n" {
			t.Errorf("head %q, want no framing in it", head)
		}
	}
}

// nginx's own parsing of upstream heads went wrong where a status line was
// split across reads, or held a NUL.
func TestCVE_2026_42946_SplitStatusLine(t *testing.T) {
	const in = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
	for cut := range len(in) {
		r := io.MultiReader(strings.NewReader(in[:cut]), strings.NewReader(in[cut:]))
		resp, err := ReadResponse(bufio.NewReader(r))
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("A") != "b" {
			t.Errorf("cut at %d: %v, %v", cut, resp, err)
		}
	}
}

func TestCVE_2012_1180_NULInHead(t *testing.T) {
	_, err := ReadResponse(reader("HTTP/1.1 200 OK\r\nA\x00: b\r\n\r\n"))
	wantCode(t, err, BadHeaderLine)
	_, err = ReadResponse(reader("HTTP/1.1 200 O\x00K\r\n\r\n"))
	wantCode(t, err, BadStatusLine)
}
