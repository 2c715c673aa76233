// Uwgate sits between nginx and uWSGI, and stores pages in the memcached that nginx serves
// pages from. See the README.
//
//	uwgate serve     run the gateway
//	uwgate config    show the settings that are in force
//	uwgate check     prove that nginx finds what uwgate stores
//	uwgate nginx     print the nginx configuration that goes with the flags of serve
//	uwgate key       show the key and the server of a page
//	uwgate explain   show why a page is stored or why not
//	uwgate purge     delete pages through a running gateway
//	uwgate status    show what a running gateway does
//
// # How it is built
//
// A command is thin. It reads its settings with package settings, makes typed values of them,
// runs, and prints the result. No command reads a flag by its name. Errors are returned up to
// execute, which prints them once and knows the exit statuses: 0 done, 1 failed; check and
// explain say theirs in their help.
//
// serve checks everything before it listens: the settings, the files and names in them, the log
// files, the directory for request bodies. HUP reads the settings with the same function as the
// start and puts them in force at once, or none of them if anything is wrong. USR1 opens log
// files again. TERM and INT drain; a second one ends the program at once.
//
//	app.go, help.go         the commands, exit statuses, errors of usage; what the program says of itself
//	serve.go, reload.go     the gateway: start, HUP, drain
//	listen.go               sockets, and TLS on them
//	log.go, sink.go         log lines: never sampled for requests, never in a request's way
//	check*.go               nginx's configuration compared with the settings
//	canary*.go              check --via: pages that are written, read through nginx and deleted
//	explain*.go, key.go     one request: its key, its decision
//	purge.go, status.go     requests to a running gateway, through adminapi.go
//
// # What it leaves out
//
// It decides nothing about pages: that is package policy. It does not know how a request is
// served: that is package gateway.
package main
