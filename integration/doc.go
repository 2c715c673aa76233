// Package integration tests the whole: the built binary between a real nginx
// and a real uWSGI, in front of a real memcached, as package demo/stack starts
// them. The application is the demo's Django site, or testdata/leaks/app.py with
// its pages that leak and pages that are right to replay, or one of the small ones
// beside it, or a project that is made at test time.
//
//	make test                                        installs what is missing, runs everything
//	UWGATE_TEST_STACK=1 go test -race ./integration  the same, for these tests only
//	make bench-faults                                tries FastRouter as well, see docs/faults.md
//
// UWGATE_TEST_OPERATIONS and UWGATE_TEST_SEED are TestNothingOlder's: how much it does,
// and what at random. UWGATE_SOAK=10m has pages visited for that long, and UWGATE_TEST_BINARY names an
// uwgate to test in the place of the one that is built with the race detector.
//
// Without UWGATE_TEST_STACK a server that is not installed skips the tests; with
// it it fails them.
package integration
