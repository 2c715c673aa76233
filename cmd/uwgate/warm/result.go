package warm

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// A Result is what became of the request for one page.
type Result struct {
	Page    string
	Status  int // 0: no response
	Verdict Verdict
	Reason  string // the word of the gateway's decision, as in its log; empty if it did not say one
	Bytes   int64  // of the body as it was sent
	Took    time.Duration
	Err     error // why there is no whole response

	retryAfter time.Duration // that a 429 or 503 asks for
}

// A Verdict is what a response says of the cache.
type Verdict string

const (
	// Hit: nginx served the page from memcached, or the gateway found it there. Hits of
	// the formats body and gzip have no Cache-Status, and neither has what nginx served
	// without uwgate: a 200 without it counts as a hit.
	Hit Verdict = "hit"

	Stored    Verdict = "stored"     // the gateway stores the page, a large one if its body permits it
	NotStored Verdict = "not stored" // the reason says why
	Passed    Verdict = "not through uwgate"
	Failed    Verdict = "failed" // a status of 500 and more, 429, or no whole response
)

// judge sets the verdict and the reason.
func (r *Result) judge(cacheStatus []string) {
	member, found := gatewayMember(cacheStatus)
	r.Reason = param(member, "detail")
	switch {
	case r.Err != nil, r.Status >= 500, r.Status == http.StatusTooManyRequests:
		r.Verdict = Failed
	case found && has(member, "hit"), !found && r.Status == http.StatusOK:
		r.Verdict = Hit
	case !found:
		r.Verdict = Passed
	case has(member, "stored"), has(member, "ttl"): // without stored: a large page, which is stored after its head was sent
		r.Verdict = Stored
	default:
		r.Verdict = NotStored
	}
}

// gatewayMember returns the member of Cache-Status (RFC 9211) that is uwgate's.
func gatewayMember(lines []string) (member httpsfv.Item, found bool) {
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return member, false
	}
	for _, m := range list {
		if item, ok := m.(httpsfv.Item); ok && (item.Value == httpsfv.Token("uwgate") || item.Value == "uwgate") {
			member, found = item, true // the last is the nearest to us
		}
	}
	return member, found
}

func has(member httpsfv.Item, name string) bool {
	if member.Params == nil {
		return false
	}
	_, ok := member.Params.Get(name)
	return ok
}

func param(member httpsfv.Item, name string) string {
	if !has(member, name) {
		return ""
	}
	v, _ := member.Params.Get(name)
	return fmt.Sprint(v)
}

// readWhole reads a body to its end, since the gateway stores only what was sent whole.
func (r *Result) readWhole(body io.Reader) {
	var err error
	if r.Bytes, err = io.Copy(io.Discard, body); err != nil {
		r.Err = fmt.Errorf("the response is not complete: %w", err)
	}
}

// maxRetryAfter bounds what a response can make us wait.
const maxRetryAfter = 30 * time.Second

// readRetryAfter reads the delay of a 429 or 503 in seconds; a date is not used by nginx
// or uwgate.
func (r *Result) readRetryAfter(value string) {
	if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && n > 0 {
		r.retryAfter = min(time.Duration(n)*time.Second, maxRetryAfter)
	}
}

// refused reports whether the server has too much to do, and may have less later.
func (r *Result) refused() bool {
	return r.Err == nil && (r.Status == http.StatusTooManyRequests || r.Status == http.StatusServiceUnavailable)
}

// Failure says why a page failed, empty if it did not.
func (r *Result) Failure() string {
	switch {
	case r.Verdict != Failed:
		return ""
	case r.Err != nil:
		return r.Err.Error()
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status)))
}

var errSlow = errors.New("no whole response in time; a longer --timeout waits longer")
