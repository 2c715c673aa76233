// Package admin shows a gateway to operators and their machines.
//
// An [Admin] has two sides. Handler serves HTTP:
//
//	/-/healthy          200 while the process lives
//	/-/ready            200 while a listener accepts requests and a backend connections, else 503 and why
//	/metrics            for Prometheus; docs/metrics.md lists the metrics
//	/api/v1/status      what `uwgate status` shows
//	/api/v1/explain     what `uwgate explain` shows
//	/api/v1/purge       deletes pages, as uwgate purge does
//	/api/v1/canaries    requests of `uwgate check --via` that the gateway answers itself
//	/debug/pprof/       Go's profiles
//
// Package page adds a status page for people, at /.
//
// ServeStats writes the JSON of uWSGI's FastRouter to each connection, which uwsgitop reads.
//
//	a := &admin.Admin{Gateway: g, Token: token, Version: version, Log: log}
//	go a.ServeStats(ctx, statsListener)
//	err := http.Serve(adminListener, a.Handler())
//
// The API and the profiles are for callers over a UNIX socket with a file, whose mode says who
// may connect, and for callers that send the token. The rest is for everybody who can connect:
// a health check has no token.
//
// The package counts nothing. It reads the Stats of the gateway, of its pools, of its
// subscriptions and of its store, each a snapshot, and calls the gateway's methods. Each metric
// is a row in one table, and a page of the documentation is made from that table.
//
// It does not listen: cmd/uwgate makes the listeners, and decides which addresses are safe.
package admin
