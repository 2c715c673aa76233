package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"uwgate/cmd/uwgate/settings"
)

// An adminAPI is the admin API of a running gateway.
type adminAPI struct {
	settings.Control
	timeout   time.Duration
	otherwise string // what else to do if nothing listens there
}

// maxAdminAnswer is the most that is read of a response, in bytes.
const maxAdminAnswer = 16 << 20

// ask sends a request, GET if body is nil, and reads the JSON of the response into v. Errors
// say what to do next.
func (a adminAPI) ask(ctx context.Context, path string, body []byte, v any) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	transport := a.transport()
	defer transport.CloseIdleConnections()
	req, err := a.request(ctx, path, body)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("--admin %s: %w%s", a.Admin, reason(err), a.advice(err))
	}
	defer resp.Body.Close()
	return a.read(resp, path, v)
}

// transport connects to the API, whatever host a request names.
func (a adminAPI) transport() *http.Transport {
	var dialer net.Dialer
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, a.Admin.Network, a.Admin.Addr)
	}}
}

func (a adminAPI) request(ctx context.Context, path string, body []byte) (*http.Request, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://uwgate"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.Token != "" {
		req.Header.Set("Authorization", "Bearer "+a.Token)
	}
	return req, nil
}

func (a adminAPI) read(resp *http.Response, path string, v any) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
	if err != nil {
		return fmt.Errorf("--admin %s: read the response: %w", a.Admin, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("--admin %s: %s; give the same --admin-token here", a.Admin, firstLine(body))
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return fmt.Errorf("--admin %s: there is no %s: is it the --admin address of a `uwgate serve` of this version?", a.Admin, path)
	default:
		return fmt.Errorf("--admin %s: the gateway responds %s: %s", a.Admin, resp.Status, firstLine(body))
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("--admin %s: the response is not that of %s: %w", a.Admin, path, err)
	}
	return nil
}

func (a adminAPI) advice(err error) string {
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return "; start `uwgate serve` with --admin and name the same address here" + a.otherwise
	}
	if errors.Is(err, syscall.EACCES) {
		return "; this user may not use the socket: become the user or group that `uwgate serve` runs as"
	}
	return ""
}
