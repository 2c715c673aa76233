package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAdmin(t *testing.T) {
	b := newBench(t, nil, says(page("hello")))
	eventually(t, "listening", func() bool { return b.stats.listeners.Load() == 1 })
	b.get("/a")
	b.get("/b")
	b.line(1)
	eventually(t, "connections closed", func() bool { return b.stats.inFlight.Load() == 0 })
	admin := b.Admin()
	for path, want := range map[string]string{"/-/healthy": "healthy\n", "/-/ready": "ready\n"} {
		if status, body := visit(admin, path); status != 200 || body != want {
			t.Errorf("%s: %d %q, want 200 %q", path, status, body, want)
		}
	}
	_, metrics := visit(admin, "/metrics")
	for _, line := range []string{
		`uwgate_requests_total{status="200"} 2`,
		`uwgate_decisions_total{reason="default-ttl"} 2`,
		`uwgate_requests_in_flight 0`,
		`uwgate_request_duration_seconds_count 2`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	b.close()
	if status, _ := visit(admin, "/-/ready"); status != http.StatusServiceUnavailable {
		t.Errorf("/-/ready after the end: %d, want 503", status)
	}
}

func visit(h http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}
