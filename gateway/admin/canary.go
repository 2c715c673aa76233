package admin

import (
	"encoding/json"
	"errors"
	"net/http"

	"uwgate/gateway"
)

// Canaries are the requests with one token that have come to a gateway. Its JSON form is
// that of the API.
type Canaries struct {
	Came []gateway.Canary `json:"came"`
}

// expectCanaries serves POST /api/v1/canaries. The body is {"token": "…"}.
func (a *Admin) expectCanaries(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Token string `json:"token"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAPIRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		http.Error(w, `the request does not have the form {"token": "…"}: `+err.Error(), http.StatusBadRequest)
		return
	}
	switch err := a.Gateway.ExpectCanaries(in.Token); {
	case errors.Is(err, gateway.ErrTooManyCanaries):
		http.Error(w, err.Error(), http.StatusTooManyRequests)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		writeCanaries(w, nil)
	}
}

// canaries serves GET /api/v1/canaries/TOKEN.
func (a *Admin) canaries(w http.ResponseWriter, r *http.Request) {
	came, known := a.Gateway.Canaries(r.PathValue("token"))
	if !known {
		http.Error(w, "nobody has announced this token, or more than a minute ago", http.StatusGone)
		return
	}
	writeCanaries(w, came)
}

func writeCanaries(w http.ResponseWriter, came []gateway.Canary) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(Canaries{append([]gateway.Canary{}, came...)})
}
