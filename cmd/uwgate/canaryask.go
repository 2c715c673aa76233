package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/policy"
)

// A response is nginx's response to the request for a canary, or why there is none.
type response struct {
	status int // 0: no response
	header http.Header
	body   []byte
	from   net.Addr // that responded
	step   askStep  // what failed, if err is set
	err    error
}

// An askStep is a part of a request.
type askStep string

const (
	stepConnect askStep = "connect"
	stepTLS     askStep = "agree on TLS"
	stepSend    askStep = "send the request"
	stepRead    askStep = "read the response"
)

// maxResponse is the most that is read of a response, in bytes. A canary has a thousandth of it.
const maxResponse = 1 << 20

// get requests the canary from nginx. It writes the request line itself, because nginx's key
// consists of these bytes.
func (v *visitor) get(ctx context.Context, pr *probe) response {
	ctx, cancel := context.WithTimeoutCause(ctx, responseTimeout, fmt.Errorf("not done within %v", responseTimeout))
	defer cancel()
	a := v.exchange(ctx, pr)
	if a.err != nil && ctx.Err() != nil {
		a.err = context.Cause(ctx)
	}
	return a
}

func (v *visitor) exchange(ctx context.Context, pr *probe) response {
	nc, step, err := v.dial(ctx, pr)
	if err != nil {
		return response{step: step, err: err}
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(nc, "GET "+pr.target+" HTTP/1.1\r\n"+strings.Join(pr.lines, "\r\n")+"\r\n\r\n"); err != nil {
		return response{step: stepSend, err: err}
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: http.MethodGet})
	if err != nil {
		return response{step: stepRead, err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return response{step: stepRead, err: err}
	}
	return response{status: resp.StatusCode, header: resp.Header, body: body, from: nc.RemoteAddr()}
}

// dial connects to the URL's host, whatever site the Host header names.
func (v *visitor) dial(ctx context.Context, pr *probe) (net.Conn, askStep, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", net.JoinHostPort(pr.address()))
	if err != nil || pr.scheme == "http" {
		return nc, stepConnect, err
	}
	site := url.URL{Host: headerOf(pr.lines, "Host")}
	secure := tls.Client(nc, &tls.Config{ServerName: site.Hostname(), RootCAs: v.roots, InsecureSkipVerify: v.insecure})
	if err := secure.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, stepTLS, err
	}
	return secure, "", nil
}

// encoding returns the Accept-Encoding of the requests.
func (v *visitor) encoding() string {
	if v.format == policy.FormatGzip {
		return "gzip"
	}
	return "identity"
}

// requestLines returns the header lines of a canary's request. With no-store the gateway does
// not store the application's response to a canary's URL, which nobody would delete.
func requestLines(host, encoding string, given []string) ([]string, error) {
	lines := []string{"Host: " + host, "User-Agent: uwgate-check"}
	for _, line := range given {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !settings.IsHeaderName(name) || strings.ContainsAny(value, "\r\n\x00") {
			return nil, fmt.Errorf("--header %q: write 'Name: value'", line)
		}
		switch strings.ToLower(name) {
		case "accept-encoding", "cache-control", "connection", "content-length", "range", "transfer-encoding":
			return nil, fmt.Errorf("--header %q: the canary's request has a %s of its own, or none; leave it out", line, name)
		case "host", "user-agent":
			lines = slices.DeleteFunc(lines, func(l string) bool { return headerOf([]string{l}, name) != "" })
		}
		lines = append(lines, name+": "+value)
	}
	return append(lines, "Accept-Encoding: "+encoding, "Cache-Control: no-store", "Connection: close"), nil
}

// headerOf returns the first value of a header among lines.
func headerOf(lines []string, name string) string {
	for _, line := range lines {
		if n, value, _ := strings.Cut(line, ":"); strings.EqualFold(n, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// isGateways reports whether the response came through a gateway. Hits in the format http
// have a Cache-Status of uwgate's, too.
func (a response) isGateways() bool {
	_, found := a.cacheStatus()
	return found
}

// cacheStatus returns the parameters of uwgate's member of Cache-Status, if the response came
// through a gateway.
func (a response) cacheStatus() (parameters string, found bool) {
	for _, line := range a.header.Values("Cache-Status") {
		for member := range strings.SplitSeq(line, ",") {
			if name, rest, _ := strings.Cut(strings.TrimSpace(member), ";"); name == "uwgate" && strings.TrimSpace(rest) != "hit" {
				return rest, true
			}
		}
	}
	return "", false
}

// refusal returns the gateway's reason not to store any page for such a request; "": it says
// none.
func (a response) refusal() (reason policy.Reason) {
	parameters, _ := a.cacheStatus()
	isRefused := false
	for parameter := range strings.SplitSeq(parameters, ";") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(parameter), "="); name {
		case "fwd":
			isRefused = value == "bypass" || value == "method"
		case "detail":
			reason = policy.Reason(value)
		}
	}
	if !isRefused {
		return ""
	}
	return reason
}

// String returns the status and some headers, or why there is no response.
func (a response) String() string {
	if a.err != nil {
		return fmt.Sprintf("none: %s: %v", a.step, a.err)
	}
	words := []string{strings.TrimSpace(fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)))}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Location", "Server", "Cache-Status"} {
		if v := a.header.Get(name); v != "" {
			words = append(words, name+": "+clip(printable(v), 60))
		}
	}
	return strings.Join(words, ", ")
}

// isZipped reports whether the response has Content-Encoding: gzip.
func (a response) isZipped() bool { return strings.EqualFold(a.header.Get("Content-Encoding"), "gzip") }

// shown returns the body as a browser shows it, nil if the browser cannot.
func (a response) shown() []byte {
	if a.isZipped() {
		return inflate(a.body)
	}
	return a.body
}

func inflate(b []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r, maxResponse))
	if err != nil {
		return nil
	}
	return body
}

// bears reports whether the body contains the canary, compressed or not.
func (c *canary) bears(a response) bool {
	marker := []byte(c.marker)
	return bytes.Contains(a.body, marker) || bytes.Contains(inflate(a.body), marker)
}

// isHit reports whether a browser shows the canary. nginx may have added to the page.
func (c *canary) isHit(a response) bool {
	return a.status == http.StatusOK && bytes.Contains(a.shown(), []byte(c.marker)) && !hasHead(a.body)
}

// hasHead reports whether a body begins with the head of a value in the format http.
func hasHead(body []byte) bool { return bytes.HasPrefix(body, []byte("HTTP/1.")) }
