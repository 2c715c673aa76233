package gateway

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A course is which way a request went, and how long each part of it took.
type course struct {
	pool    string // empty: it has not come so far
	backend string // empty: no server was asked

	queued    time.Duration // it waited for a server
	firstByte time.Duration // from the accepted connection to the head of a worker's response; 0: none came
	worked    time.Duration // a worker was occupied
	took      time.Duration // from the accepted connection to the last byte that was sent
}

// timeline is when things happened to a worker's part of a request.
type timeline struct {
	asked     time.Time     // when a worker first got to see the request
	connected time.Time     // to the last worker; zero: to none
	headed    time.Time     // its response's head came; zero: none came
	queued    time.Duration // before a server was free
}

// course returns the way of a request that began then and ends now.
func (w *worker) course(began, now time.Time) course {
	c := course{backend: w.name(), queued: w.queued, took: now.Sub(began)}
	if w.pool != nil {
		c.pool = cmp.Or(w.pool.Name, defaultPool)
	}
	if !w.connected.IsZero() {
		c.worked = now.Sub(w.connected)
	}
	if !w.headed.IsZero() {
		c.firstByte = w.headed.Sub(began)
	}
	return c
}

// defaultPool is what the pool without a name is called.
const defaultPool = "default"

// waitedInVain notes how long a request has waited for a server that it did not get.
func (w *worker) waitedInVain(err error) {
	waited := time.Since(w.asked)
	for _, ended := range []error{backend.ErrQueueTimeout, backend.ErrShortage, backend.ErrUnavailable} {
		if errors.Is(err, ended) && waited >= time.Millisecond { // else it was refused at once
			w.queued += waited
			return
		}
	}
}

// askerOf returns who has sent a request. Its texts have no secret, and a bounded length.
func askerOf(p *policy.Policy, v uwsgi.Vars) asker {
	return asker{
		host:   public(p, policy.HostOf(v), maxLogHost),
		client: public(p, v.Get("REMOTE_ADDR"), maxLogName),
		id:     public(p, cmp.Or(v.Get(policy.VarRequestID), v.Get("REQUEST_ID")), maxLogName),
		trace:  traceOf(v.Get("HTTP_TRACEPARENT")),
	}
}

// maxLogHost and maxLogName bound texts of the access line, in bytes.
const (
	maxLogHost = 255
	maxLogName = 64
)

func public(p *policy.Policy, text string, size int) string {
	text = p.Bypass.Public(text)
	return text[:min(len(text), size)]
}

// traceOf returns the trace id of a header traceparent (W3C Trace Context, §3.2), "" if it
// has none.
func traceOf(parent string) string {
	const hex, zeros = "0123456789abcdef", "00000000000000000000000000000000"
	if len(parent) < 55 || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' {
		return ""
	}
	if id := parent[3:35]; strings.Trim(id, hex) == "" && id != zeros {
		return id
	}
	return ""
}
