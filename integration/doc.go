// Package integration tests the whole: the built binary between a real nginx
// and a real uWSGI with Django, in front of a real memcached, as package
// demo/stack starts them.
//
//	make test                                        installs what is missing, runs everything
//	UWGATE_TEST_STACK=1 go test -race ./integration  the same, for these tests only
//
// Without that variable a server that is not installed skips the tests; with it
// it fails them.
package integration
