package uwsgi

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkReadBody reads the content of one response, as it is framed.
func BenchmarkReadBody(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		content := strings.Repeat("x", size)
		for _, framing := range []struct {
			name string
			resp Response
			raw  string
		}{
			{"length", Response{StatusCode: 200, ContentLength: int64(size)}, content},
			{"chunked", Response{StatusCode: 200, ContentLength: -1, Chunked: true}, chunked(content, 4<<10)},
			{"up to the end", Response{StatusCode: 200, ContentLength: -1}, content},
		} {
			b.Run(fmt.Sprintf("%s/%dKiB", framing.name, size>>10), func(b *testing.B) {
				src := strings.NewReader(framing.raw)
				br := bufio.NewReader(src)
				buf := make([]byte, 32<<10)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					src.Reset(framing.raw)
					br.Reset(src)
					if n, err := readInto(buf, framing.resp.Body(br, "GET")); n != size || err != io.EOF {
						b.Fatal(n, err)
					}
				}
			})
		}
	}
}

// chunked frames content in chunks of a size.
func chunked(content string, size int) string {
	var s strings.Builder
	for len(content) > 0 {
		n := min(size, len(content))
		fmt.Fprintf(&s, "%x\r\n%s\r\n", n, content[:n])
		content = content[n:]
	}
	return s.String() + "0\r\n\r\n"
}

// readInto reads r to its end, over and over into the same buffer.
func readInto(buf []byte, r io.Reader) (total int, err error) {
	for err == nil {
		var n int
		n, err = r.Read(buf)
		total += n
	}
	return total, err
}

// browserVars are those that nginx sends for a browser's request: its uwsgi_params,
// where it has looked, and the headers.
var browserVars = Vars{
	{"QUERY_STRING", "page=2"},
	{"REQUEST_METHOD", "GET"},
	{"CONTENT_TYPE", ""},
	{"CONTENT_LENGTH", ""},
	{"REQUEST_URI", "/articles/2024/05/some-longer-title-of-a-page/?page=2"},
	{"PATH_INFO", "/articles/2024/05/some-longer-title-of-a-page/"},
	{"DOCUMENT_ROOT", "/usr/share/nginx/html"},
	{"SERVER_PROTOCOL", "HTTP/1.1"},
	{"REQUEST_SCHEME", "https"},
	{"HTTPS", "on"},
	{"REMOTE_ADDR", "203.0.113.7"},
	{"REMOTE_PORT", "54321"},
	{"SERVER_PORT", "443"},
	{"SERVER_NAME", "www.example.com"},
	{"CACHE_KEY", "https://www.example.com/articles/2024/05/some-longer-title-of-a-page/?page=2"},
	{"CACHE_STATUS", "404"},
	{"CACHE_SERVER", "127.0.0.1:11211"},
	{"HTTP_HOST", "www.example.com"},
	{"HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
	{"HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
	{"HTTP_ACCEPT_LANGUAGE", "en-US,en;q=0.5"},
	{"HTTP_ACCEPT_ENCODING", "gzip, deflate, br"},
	{"HTTP_REFERER", "https://www.example.com/articles/"},
	{"HTTP_COOKIE", "_ga=GA1.2.1234567890.1700000000; _gid=GA1.2.987654321.1700000000; lang=de"},
	{"HTTP_SEC_FETCH_DEST", "document"},
	{"HTTP_SEC_FETCH_MODE", "navigate"},
	{"HTTP_SEC_FETCH_SITE", "same-origin"},
}

func BenchmarkBrowserRequest(b *testing.B) {
	raw, err := (&Request{Vars: browserVars}).Append(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
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
	})
	b.Run("append", func(b *testing.B) {
		req, buf := &Request{Vars: browserVars}, make([]byte, 0, 4096)
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := req.Append(buf[:0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("merge", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := browserVars.Merge(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
