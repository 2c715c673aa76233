package warm

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"uwgate/uwsgi"
)

// UWSGI requests pages from a gateway over the uwsgi protocol, without nginx. A gateway
// does not look a page up: it fetches each page from the workers, and stores it again if
// it is stored already. Its fields are set before the first request. Its methods are safe
// for concurrent use.
type UWSGI struct {
	Network, Addr string

	// Vars returns what nginx sends for a request of the URL that missed.
	Vars func(page string) (uwsgi.Vars, error)

	Timeout time.Duration // of a page; 0: 30 s
}

// Fetch requests a page and reads the whole response.
func (u *UWSGI) Fetch(ctx context.Context, page string) (r Result) {
	r.Page = page
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(u.Timeout, 30*time.Second), errSlow)
	defer cancel()
	cacheStatus, err := u.exchange(ctx, &r)
	if err != nil {
		r.Err = u.advise(err)
	}
	if r.Err != nil && ctx.Err() != nil {
		r.Err = context.Cause(ctx)
	}
	r.Took = time.Since(began)
	r.judge(cacheStatus)
	return r
}

// advise says what to do if the gateway does not take the request. One that does not accept
// a client closes its connection without a word, and logs why.
func (u *UWSGI) advise(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run the command as root or as the user of nginx, or see --socket-mode", err)
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the gateway at %s closed the connection; if it has --allow-user or --allow-peer, run the command as one of these; its log says why", err, u.Addr)
	}
	return err
}

func (u *UWSGI) exchange(ctx context.Context, r *Result) (cacheStatus []string, err error) {
	vars, err := u.Vars(r.Page)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	nc, err := dialer.DialContext(ctx, u.Network, u.Addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })()
	if err := (&uwsgi.Request{Vars: vars}).Write(nc); err != nil {
		return nil, err
	}
	br := bufio.NewReader(nc)
	resp, err := uwsgi.ReadResponse(br)
	if err != nil {
		return nil, err
	}
	r.Status = resp.StatusCode
	r.readRetryAfter(resp.Header.Get("Retry-After"))
	body := resp.Body(br, http.MethodGet)
	r.readWhole(body)
	return resp.Header.Values("Cache-Status"), nil
}
