package admin

import (
	"encoding/json"
	"errors"
	"math"
	"net"
	"net/http"
	"strconv"

	"uwgate/gateway/purge"
)

// purge serves POST /api/v1/purge. The body is a purge.Request, and the response a
// purge.Result.
func (a *Admin) purge(w http.ResponseWriter, r *http.Request) {
	var in purge.Request
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAPIRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		http.Error(w, `the request does not have the form {"urls": ["https://www.example.com/"], "tags": ["news"], "soft": true}: `+err.Error(), http.StatusBadRequest)
		return
	}
	result, err := a.Gateway.Purge(r.Context(), &in, caller(r))
	var limit *purge.RateError
	switch {
	case errors.As(err, &limit):
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(limit.RetryAfter.Seconds()))))
		http.Error(w, err.Error(), http.StatusTooManyRequests)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(result)
	}
}

// caller is the address of who uses the API, for the log; "" for a UNIX socket.
func caller(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
