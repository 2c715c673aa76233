package integration

import (
	"encoding/json"
	"os/exec"
	"testing"

	"uwgate/gateway"
)

// explain runs `uwgate explain` for a page of the site.
func (w *world) explain(path string) gateway.Explanation {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), binary, "explain", "--json",
		"--backend", w.UWSGI.Addr, "--memcached", w.Memcached[0].Addr, w.URL(path))
	out, err := cmd.Output()
	var e gateway.Explanation
	if jsonErr := json.Unmarshal(out, &e); jsonErr != nil {
		w.t.Fatalf("uwgate explain: %v, %v: %q", err, jsonErr, out)
	}
	return e
}

// `uwgate explain` reports whether a page was ever a hit. It does not count as a visit.
func TestExplainTellsVisits(t *testing.T) {
	t.Parallel()
	w := startSite(t, site{servers: 1}, "body")
	w.fill([]string{"/page"})
	usage := func() gateway.StoredUsage {
		t.Helper()
		e := w.explain("/page")
		if e.Stored == nil || e.Stored.Usage == nil {
			t.Fatalf("explained as %+v, stored %+v, %s", e.Policy.Verdict, e.Stored, e.StoreErr)
		}
		return *e.Stored.Usage
	}
	for range 2 {
		if u := usage(); u.Served || u.Stale || u.TTL < 500 || u.TTL > 630 {
			t.Errorf("before a visit: %+v, want 10 minutes, more or less, and not served", u)
		}
	}
	w.want(w.get("/page"), 200)
	if u := usage(); !u.Served {
		t.Errorf("after a visit: %+v, want it served", u)
	}
}
