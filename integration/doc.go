// Package integration tests the built binary between a real nginx and a real uWSGI, with
// a real memcached. Package demo/stack starts them. The application is the demo's Django
// site, one of the small applications in testdata, or a project that a test makes.
//
//	make test                                        installs missing programs and runs all tests
//	UWGATE_TEST_STACK=1 go test -race ./integration  runs these tests
//	make bench-faults                                also tests FastRouter, see docs/faults.md
//
// A test fails if a server is not installed. Without UWGATE_TEST_STACK it is skipped.
//
// Other environment variables:
//
//   - UWGATE_TEST_BINARY is the path of an uwgate to test. By default the tests build one
//     with the race detector.
//   - UWGATE_TEST_OPERATIONS and UWGATE_TEST_SEED are the number of operations of
//     TestNothingOlder and their random seed.
//   - UWGATE_TEST_NGINX is the path of another nginx.
//   - UWGATE_TEST_BROWSER=1 makes TestStatusPageInBrowser fail if there is no chromium; it is
//     skipped otherwise.
//   - UWGATE_TEST_GONE=20s makes TestUwgateIsKilled run for that time.
//   - UWGATE_TEST_SOAK=10m makes TestHotPagesDoNotExpire run for that time.
//   - UWGATE_TEST_MODEL=10m makes TestModelOfNginx run for that time, and UWGATE_TEST_MODEL_SEED is
//     its first random seed.
//
// Tests do not depend on an idle machine. They wait for what they check, and only patience
// limits a wait. Most tests have servers of their own and run in parallel. Tests that
// measure time, memory or a large crowd run alone.
package integration
