package gateway

import (
	"io"
	"net/http"
)

// Admin answers what operators and their machines ask: /-/healthy (the
// process lives), /-/ready (requests are being accepted), /metrics. It must
// not be reachable for visitors.
func (g *Gateway) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "healthy\n")
	})
	mux.HandleFunc("GET /-/ready", g.ready)
	mux.Handle("GET /metrics", g.metrics())
	return mux
}

func (g *Gateway) ready(w http.ResponseWriter, _ *http.Request) {
	if g.stats.listeners.Load() == 0 {
		http.Error(w, "not accepting requests", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}
