package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"uwgate": main})
}

// Each script is one story; see the documentation of package testscript. Ours
// are, besides:
//
//	worker DIR               a worker that answers /NAME with the file DIR/NAME; $WORKER is its address
//	site DIR                 nginx that answers /NAME with the file DIR/NAME; $SITE is its address
//	memcached [KEY=FILE]…    a memcached that has these entries and takes no others; $MEMCACHED is its address
//	await ADDRESS            until somebody listens there
//	packet FILE              FILE, of lines NAME=value, becomes a uwsgi packet
//	hup                      the program in the background is sent a HUP
//	logged FILE REGEXP       waits for a line of FILE that matches, after the one that matched last
//
// $FREE is an address where nobody listens, and $LF is a line feed.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("FREE", freeAddress(t))
			env.Setenv("LF", "\n")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"worker":    startWorker,
			"site":      startNginx,
			"memcached": startMemcached,
			"await":     await,
			"packet":    makePacket,
			"hup":       hup,
			"logged":    awaitLine(map[string]int{}),
		},
	})
}
