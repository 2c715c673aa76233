package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// An Access is one line of uwgate's access log.
type Access struct {
	Time    time.Time `json:"time"`
	Message string    `json:"msg"` // "request"
	Host    string    `json:"host"`
	Client  string    `json:"client"`
	ID      string    `json:"request_id"`
	Pool    string    `json:"pool"`
	Method  string    `json:"method"`
	URI     string    `json:"uri"`
	Status  int       `json:"status"`
	Bytes   int64     `json:"bytes"`
	Backend string    `json:"backend"`
	Verdict string    `json:"verdict"` // "store" or "pass"
	Reason  string    `json:"reason"`
	TTL     int64     `json:"ttl"` // seconds
	Key     string    `json:"key"`
	First   float64   `json:"first_byte"` // seconds
	Took    float64   `json:"took"`       // seconds
}

// An AccessReader reads uwgate's access log as it grows. It is not safe for
// concurrent use.
type AccessReader struct {
	path   string
	offset int64
}

// AccessReader returns a reader that starts at the beginning of the log.
func (s *Stack) AccessReader() *AccessReader { return &AccessReader{path: s.AccessLog} }

// Next returns the requests whose lines were completed since the last call. It does
// not wait: there may be none. It skips other lines of the log.
func (a *AccessReader) Next() ([]Access, error) {
	text, err := a.read()
	if err != nil {
		return nil, fmt.Errorf("stack: access log: %w", err)
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	a.offset += int64(len(whole))
	var requests []Access
	for line := range bytes.Lines(whole) {
		var r Access
		if err := json.Unmarshal(line, &r); err != nil {
			return requests, fmt.Errorf("stack: access log: %q: %w", line, err)
		}
		if r.Message == "request" {
			requests = append(requests, r)
		}
	}
	return requests, nil
}

func (a *AccessReader) read() ([]byte, error) {
	f, err := os.Open(a.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, a.offset, 1<<62))
}
