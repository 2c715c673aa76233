package deploy

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// A Worker is a server that runs the application, or a pool of them.
type Worker struct {
	Name string
	Pool *backend.Pool

	AskToClose bool          // by HTTP_CONNECTION, as `uwgate serve --ask-to-close`
	Timeout    time.Duration // of a response; 0: 30 s
}

// A Response is a whole response of a worker, or one that is stored.
type Response struct {
	Head            *uwsgi.Response
	Body            []byte
	Whole, Trailers bool // what the body's reader knows
}

// maxBody bounds a body, in bytes. A stored page is far smaller.
const maxBody = 16 << 20

var errTimeout = errors.New("no whole response in time; a longer --timeout waits longer")

// Fetch sends a request and reads the whole response. vars are what a worker gets. It is
// safe for concurrent use.
func (w *Worker) Fetch(ctx context.Context, vars uwsgi.Vars) (*Response, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(w.Timeout, 30*time.Second), errTimeout)
	defer cancel()
	r, err := w.exchange(ctx, vars)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r, err
}

func (w *Worker) exchange(ctx context.Context, vars uwsgi.Vars) (*Response, error) {
	nc, err := w.Pool.Dial(ctx, backend.Want{Host: vars.Get("HTTP_HOST"), HashKey: vars.Get("REQUEST_URI")})
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })()
	packet, err := (&uwsgi.Request{Vars: w.vars(vars)}).Append(nil)
	if err != nil {
		return nil, err
	}
	packet[0], packet[3] = nc.Node.Modifiers()
	if _, err := nc.Write(packet); err != nil {
		return nil, fmt.Errorf("send the request: %w", err)
	}
	return read(bufio.NewReader(nc))
}

// vars returns the vars with those of the pool.
func (w *Worker) vars(v uwsgi.Vars) uwsgi.Vars {
	v = append(uwsgi.Vars(nil), v...)
	for _, x := range w.Pool.SetVars {
		v = v.Set(x)
	}
	if w.AskToClose {
		v = v.Set(uwsgi.Var{Name: "HTTP_CONNECTION", Value: "close"})
	}
	return v
}

func read(br *bufio.Reader) (*Response, error) {
	head, err := uwsgi.ReadResponse(br)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the worker closed the connection without a response: see its log")
	}
	if err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	body := head.Body(br, http.MethodGet)
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the response is not complete: %w", err)
	case len(text) > maxBody:
		return nil, fmt.Errorf("the body is over %d MiB", maxBody>>20)
	}
	return &Response{head, text, body.Whole(), body.Trailers()}, nil
}
