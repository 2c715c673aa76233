package admin_test

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"uwgate/gateway"
	"uwgate/gateway/admin"
	"uwgate/gateway/backend"
)

// A gateway that does not listen is healthy, but not ready.
func Example() {
	pool, err := backend.NewPool("127.0.0.1:3031")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	a := &admin.Admin{Gateway: &gateway.Gateway{Backends: &backend.Pools{Default: pool}}}
	for _, path := range []string{"/-/healthy", "/-/ready", "/metrics"} {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(path, w.Code)
		for line := range strings.Lines(w.Body.String()) {
			if strings.HasPrefix(line, "uwgate_backend_") {
				fmt.Print(line)
			}
		}
	}
	// Output:
	// /-/healthy 200
	// /-/ready 503
	// /metrics 200
	// uwgate_backend_busy_total{backend="127.0.0.1:3031",pool="default"} 0
	// uwgate_backend_connect_errors_total{backend="127.0.0.1:3031",pool="default"} 0
	// uwgate_backend_connections_total{backend="127.0.0.1:3031",pool="default"} 0
	// uwgate_backend_requests_in_flight{backend="127.0.0.1:3031",pool="default"} 0
	// uwgate_backend_up{backend="127.0.0.1:3031",pool="default"} 1
}
