package admin

import (
	"encoding/json"
	"net/http"

	"uwgate/gateway"
)

// A Report is what requests have cost since the start, by host and reason, the most expensive
// first. Its JSON form is that of the API.
type Report struct {
	Seconds int64            `json:"uptime"`
	Observe bool             `json:"observe"`
	Savings []gateway.Saving `json:"savings"`
}

// Report returns what requests have cost.
func (a *Admin) Report() *Report {
	return &Report{Seconds: uptime(), Observe: a.Gateway.Stats().Requests.Observe, Savings: a.Gateway.Savings()}
}

// report serves GET /api/v1/report.
func (a *Admin) report(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(a.Report())
}
