package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strconv"

	"go.uber.org/zap"

	"uwgate/gateway"
	"uwgate/gateway/hits"
	"uwgate/uwsgi"
)

// An Admin shows a gateway to operators and their machines. Its fields are set before its
// first use and not changed afterwards; its methods are safe for concurrent use.
type Admin struct {
	// Gateway is the one that is shown. It must be set.
	Gateway *gateway.Gateway

	// Token opens the API to callers over TCP and abstract sockets, that send it as
	// Authorization: Bearer. If it is empty, the API is served on UNIX sockets with a file
	// only.
	Token string

	// Version is that of the program.
	Version string

	// Hits counts what nginx tells of its hits. Nil: it tells nothing.
	Hits *hits.Receiver

	// LostLines returns how many log lines were dropped. Nil: nobody counts them.
	LostLines func() uint64

	// Log gets what an operator should know. Nil is silent.
	Log *zap.Logger

	watch   watch
	reloads reloads
}

func (a *Admin) log() *zap.Logger {
	if a.Log == nil {
		return zap.NewNop()
	}
	return a.Log
}

// Handler serves the paths that the package's documentation lists. It must not be reachable
// for visitors of the site.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "healthy\n")
	})
	mux.HandleFunc("GET /-/ready", a.ready)
	mux.Handle("GET /metrics", a.metrics())
	mux.HandleFunc("POST /api/v1/explain", a.guarded(a.explain))
	mux.HandleFunc("POST /api/v1/purge", a.guarded(a.purge))
	mux.HandleFunc("GET /api/v1/status", a.guarded(a.status))
	mux.HandleFunc("GET /api/v1/report", a.guarded(a.report))
	mux.HandleFunc("POST /api/v1/canaries", a.guarded(a.expectCanaries))
	mux.HandleFunc("GET /api/v1/canaries/{token}", a.guarded(a.canaries))
	a.profiles(mux)
	return mux
}

// profiles serves the useful ones of net/http/pprof. cmdline is left out, since the command
// line may contain secrets.
func (a *Admin) profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/profile", a.guarded(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/trace", a.guarded(pprof.Trace))
	for _, name := range []string{"allocs", "goroutine", "heap", "threadcreate"} {
		mux.HandleFunc("GET /debug/pprof/"+name, a.guarded(pprof.Handler(name).ServeHTTP))
	}
}

func (a *Admin) ready(w http.ResponseWriter, r *http.Request) {
	if err := a.Gateway.Ready(r.Context()); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}

// guarded calls next for callers that may use the API, and refuses the others.
func (a *Admin) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.Permits(r):
			next(w, r)
		case OverFile(r):
			http.Error(w, "the request names the host "+strconv.Quote(r.Host)+", which is not this machine: use localhost, or send Authorization: Bearer with the --admin-token", http.StatusForbidden)
		case a.Token == "":
			http.Error(w, "over TCP and abstract sockets the API needs a token: start uwgate with --admin-token, or with --admin unix:/path", http.StatusForbidden)
		default:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token is missing or wrong: send Authorization: Bearer TOKEN", http.StatusUnauthorized)
		}
	}
}

// maxAPIRequest is the greatest length of a request to the API, in bytes. The vars of a
// packet fit, escaped as JSON.
const maxAPIRequest = 1 << 20

// explain serves POST /api/v1/explain. The body is {"vars": [["NAME", "value"], …]}.
func (a *Admin) explain(w http.ResponseWriter, r *http.Request) {
	vars, err := readVars(http.MaxBytesReader(w, r.Body, maxAPIRequest))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(a.Gateway.Explain(r.Context(), vars))
}

// readVars reads the body of such a request.
func readVars(r io.Reader) (uwsgi.Vars, error) {
	var in struct {
		Vars [][]string `json:"vars"`
	}
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("the request does not have the form {\"vars\": [[\"NAME\", \"value\"], …]}: %w", err)
	}
	if len(in.Vars) == 0 {
		return nil, errors.New("the request has no vars")
	}
	vars := make(uwsgi.Vars, len(in.Vars))
	for i, pair := range in.Vars {
		if len(pair) != 2 {
			return nil, fmt.Errorf("var %d has %d parts instead of a name and a value", i, len(pair))
		}
		vars[i] = uwsgi.Var{Name: pair[0], Value: pair[1]}
	}
	return vars, nil
}
