//go:build linux

package main

import (
	"strings"
	"testing"
)

const wholeResponse = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\ncontent-length: 5\r\nX-Content-Length: 7\r\n\r\nhello"

// read passes a response to take in two parts.
func (a *response) read(text string, cut int) (done bool, err error) {
	for _, part := range []string{text[:cut], text[cut:]} {
		if part == "" {
			continue
		}
		if done, err = a.take([]byte(part)); err != nil {
			return done, err
		}
	}
	return done, nil
}

func TestResponseInParts(t *testing.T) {
	var a response
	for cut := range len(wholeResponse) {
		a.reset()
		done, err := a.read(wholeResponse, cut)
		if err != nil || !done || a.status != 200 || a.length != 5 || a.body != 5 {
			t.Errorf("cut at %d: done %v, status %d, length %d, body %d, %v", cut, done, a.status, a.length, a.body, err)
		}
	}
	a.reset()
	for i := range len(wholeResponse) {
		done, err := a.take([]byte(wholeResponse[i : i+1]))
		if err != nil || done != (i == len(wholeResponse)-1) {
			t.Fatalf("byte %d: done %v, %v", i, done, err)
		}
	}
}

func TestResponses(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		status     int
		body       int64
		done       bool
		err        string // from take
		end        string // from end, if take had none
	}{
		{"empty body", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, 0, true, "", ""},
		{"no reason", "HTTP/1.0 200\r\nContent-Length: 1\r\n\r\nx", 200, 1, true, "", ""},
		{"without length", "HTTP/1.1 502 Bad\r\n\r\nxyz", 502, 3, false, "", ""},
		{"short body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nxyz", 200, 3, false, "", "closed after 3 of 5 bytes"},
		{"long body", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxyz", 200, 3, false, "response of 3 bytes, announced as 1", ""},
		{"inside the head", "HTTP/1.1 200 OK\r\n", 0, 0, false, "", "closed inside the response's head"},
		{"nothing", "", 0, 0, false, "", "closed without a response"},
		{"no HTTP", "Status: 200 OK\r\n\r\n", 0, 0, false, "no status line", ""},
		{"status without digits", "HTTP/1.1 abc\r\n\r\n", 0, 0, false, "no status line", ""},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 200, 0, false, "no number of bytes", ""},
		{"endless head", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X", maxHead), 0, 0, false, "head of over 8192 bytes", ""},
	} {
		var a response
		done, err := a.read(tt.text, 0)
		if done != tt.done || a.status != tt.status || a.body != tt.body || !says(err, tt.err) {
			t.Errorf("%s: done %v, status %d, body %d, %v; want %v, %d, %d, %q", tt.name, done, a.status, a.body, err, tt.done, tt.status, tt.body, tt.err)
		}
		if err == nil && !done && !says(a.end(), tt.end) {
			t.Errorf("%s: at the end: got %v, want %q", tt.name, a.end(), tt.end)
		}
	}
}

// says reports whether err contains a text, or is nil if the text is empty.
func says(err error, text string) bool {
	if err == nil || text == "" {
		return err == nil && text == ""
	}
	return strings.Contains(err.Error(), text)
}

// FuzzResponse: it must make no difference whether a response arrives in one or two parts.
func FuzzResponse(f *testing.F) {
	f.Add(wholeResponse, 20)
	f.Add("HTTP/1.1 200 OK\r\n\r\n", 18)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		if cut < 0 || cut > len(text) {
			return
		}
		var whole, parts response
		done, err := whole.read(text, 0)
		again, erragain := parts.read(text, cut)
		if err == nil && erragain == nil && (done != again || whole.status != parts.status || whole.body != parts.body) {
			t.Errorf("whole %v %d %d, in parts %v %d %d", done, whole.status, whole.body, again, parts.status, parts.body)
		}
	})
}
