package gateway

import (
	"bufio"
	"io"
	"net/http"
	"testing"
)

// Once the client has the last byte of a response, the server's place is free: the
// client's next request must not find it taken.
func TestPlaceIsFreeAtTheLastByte(t *testing.T) {
	for name, body := range map[string]string{"a small page": "hello", "a large one": string(make([]byte, 3*backendBuffer))} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil, says(okPage(body, "Cache-Control: private")))
			for i := range 200 {
				nc := b.dial()
				if _, err := nc.Write(encode(t, missed("/"))); err != nil {
					t.Fatal(err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(body)) {
					t.Fatalf("got %d bytes, %v; want %d", n, err, len(body))
				}
				if n := b.Backends.Default.Stats()[0].InFlight; n != 0 {
					t.Fatalf("request %d: %d places are taken at the last byte, want none", i, n)
				}
				nc.Close()
			}
		})
	}
}
