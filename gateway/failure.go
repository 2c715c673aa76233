package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"

	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A side says whose fault a failure is.
type side string

const (
	sideClient  side = "client"  // nginx, or the visitor behind it
	sideBackend side = "backend" // a uWSGI server, or the application
	sideGateway side = "gateway" // ourselves
)

// statusClientGone is the status in the log if the client has left before the response.
// The number is nginx's.
const statusClientGone = 499

// A failure ends an exchange. It knows the act that failed, as net.OpError
// knows its Op, whose fault it was, and the status of the response.
type failure struct {
	op     string
	side   side
	status int
	code   uwsgi.Code // stable name of a malformed request; may be empty
	err    error
}

func (f *failure) Error() string {
	return "gateway: " + f.op + ": " + f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// Causes with which an exchange's context is canceled.
var (
	errClientGone  = errors.New("nginx closed the connection")
	errUploadStall = errors.New("the request body stopped coming")
	errSpoolLost   = errors.New("the spooled request body cannot be read")

	errTotalTimeout = errors.New("the request took longer than --total-timeout")
)

// Codes of failures that are not about the request.
const (
	codeNoPool       uwsgi.Code = "no_pool"
	codeUnavailable  uwsgi.Code = "no_backend"
	codeQueueFull    uwsgi.Code = "queue_full"
	codeQueueTimeout uwsgi.Code = "queue_timeout"
	codeShortage     uwsgi.Code = "shortage"
	codeSpoolFull    uwsgi.Code = "spool_full"
)

// errProbe ends an exchange in which nothing was asked: a connection that was
// closed before its first byte, as a TCP health check does.
var errProbe = errors.New("connection closed before a request")

// errPing ends an exchange that was a ping.
var errPing = errors.New("ping")

// errNotExplained ends the explanation of a request that might change something.
var errNotExplained = errors.New("only GET and HEAD are asked of a backend to be explained")

// readFailure is the failure to read a request's packet.
func readFailure(err error) error {
	if err == io.EOF {
		return errProbe
	}
	f := &failure{op: "read request", side: sideClient, status: 400, err: err}
	var format *uwsgi.FormatError
	if errors.As(err, &format) {
		f.code = format.Code
	}
	switch {
	case isTimeout(err):
		f.status = 408
	case f.code == uwsgi.BlockTooLarge, f.code == uwsgi.TooManyVars:
		f.status = 431
	case f.code == uwsgi.BadModifier:
		f.status = 501
	case hasLeft(err):
		f.status = statusClientGone
	}
	return f
}

// screenFailure is the firewall's refusal.
func screenFailure(err error) error {
	f := &failure{op: "screen request", side: sideClient, status: 400, err: err}
	var refusal *policy.Refusal
	if errors.As(err, &refusal) {
		f.status, f.code = refusal.Status, refusal.Code
	}
	return f
}

// dialFailure is that of a pool none of whose servers takes the request.
func dialFailure(ctx context.Context, err error) error {
	if gone := goneFailure(ctx, "connect"); gone != nil {
		return gone
	}
	f := &failure{op: "connect", side: sideBackend, status: 503, err: err}
	switch {
	case errors.Is(err, backend.ErrUnavailable):
		f.code = codeUnavailable
	case errors.Is(err, backend.ErrQueueFull):
		f.code = codeQueueFull
	case errors.Is(err, backend.ErrQueueTimeout):
		f.code = codeQueueTimeout
	case errors.Is(err, backend.ErrShortage):
		f.side, f.code = sideGateway, codeShortage
	default:
		f.side, f.status = sideGateway, 500
	}
	return f
}

// responseFailure is that of a backend that had taken the request.
func responseFailure(ctx context.Context, op string, err error) error {
	if gone := goneFailure(ctx, op); gone != nil {
		return gone
	}
	f := &failure{op: op, side: sideBackend, status: 502, err: err}
	if isTimeout(err) {
		f.status = 504
	}
	return f
}

// goneFailure is what the end of ctx means: whatever else fails after it is a
// consequence. Nil if ctx has not ended.
func goneFailure(ctx context.Context, op string) error {
	cause := context.Cause(ctx)
	switch {
	case cause == nil:
		return nil
	case errors.Is(cause, errUploadStall):
		return &failure{op: "read request body", side: sideClient, status: 408, err: cause}
	case errors.Is(cause, errSpoolLost):
		return &failure{op: op, side: sideGateway, status: 500, err: cause}
	case errors.Is(cause, errTotalTimeout):
		return &failure{op: op, side: sideBackend, status: 504, err: cause}
	case errors.Is(cause, errClientGone):
		return &failure{op: op, side: sideClient, status: statusClientGone, err: cause}
	}
	return &failure{op: op, side: sideGateway, status: 503, err: errors.New("shutting down")}
}

// writeFailure is the failure to send to nginx.
func writeFailure(err error) error {
	return &failure{op: "write response", side: sideClient, status: statusClientGone, err: err}
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// hasLeft reports that the connection broke, as opposed to what came over it
// being wrong.
func hasLeft(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, io.ErrUnexpectedEOF)
}

// isSilent reports that a backend closed or reset without a byte of a response.
// An exception in the application looks so, and so does a worker that died or
// refused an oversized request.
func isSilent(err error) bool {
	var format *uwsgi.FormatError
	if errors.As(err, &format) {
		return format.Offset == 0 && hasLeft(err) && !isTimeout(err)
	}
	return err == io.EOF || hasLeft(err) && !isTimeout(err)
}

// outcome is what err says about the server that was asked. Nonsense is a
// response, too.
func outcome(err error) backend.Outcome {
	switch {
	case err == nil:
		return backend.Responded
	case isTimeout(err):
		return backend.TimedOut
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return backend.Reset
	case isSilent(err):
		return backend.Silent
	}
	return backend.Responded
}

// statusText names the statuses of the gateway's own responses.
var statusText = map[int]string{
	200: "OK",
	400: "Bad Request",
	403: "Forbidden",
	408: "Request Timeout",
	413: "Content Too Large",
	429: "Too Many Requests",
	431: "Request Header Fields Too Large",
	500: "Internal Server Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Gateway Timeout",
	507: "Insufficient Storage",
}

// errorResponse is the response to a request to which no backend responded. It says only
// its status: the reason is in the log, for those whom it concerns.
func errorResponse(status int, method string) []byte {
	body := strconv.Itoa(status) + " " + statusText[status] + "\n"
	resp := uwsgi.Response{StatusCode: status, Reason: statusText[status]}
	resp.Header = uwsgi.Header{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Content-Length", Value: strconv.Itoa(len(body))},
		{Name: "Cache-Control", Value: "no-store"},
		{Name: "Cache-Status", Value: "uwgate; detail=error"},
	}
	if status == 503 {
		resp.Header = append(resp.Header, uwsgi.Field{Name: "Retry-After", Value: "1"})
	}
	b := resp.AppendHead(nil)
	if method != "HEAD" {
		b = append(b, body...)
	}
	return b
}
