//go:build linux

package main

// The kinds of sockets.
const (
	onUnix = "unix"
	onTCP  = "TCP"
)

// page is the length of an ordinary response.
const page = 4 << 10

// passing and storing have ordinary responses.
var (
	passing = trial{path: "/pass/4096/", want: page, atOnce: 32}
	storing = trial{path: "/store/4096/", want: page, atOnce: 32, stores: true}
)

// trials returns all trials, with their claims.
func trials() []*trial {
	pass := passing.named("4 KiB responses, not stored", fastRouter, uwgate, netRelay, rawRelay)
	store := storing.named("4 KiB responses, all stored", fastRouter, uwgate)
	large := trial{path: "/pass/67108864/", want: 64 << 20, atOnce: 2}.named("64 MiB responses", fastRouter, uwgate)
	upload := trial{path: "/sink/256/", body: 64 << 10, want: 256, atOnce: 16}.named("64 KiB uploads, small responses", fastRouter, uwgate)
	busy := passing.named("4 KiB responses, at 70 % load", fastRouter, uwgate)
	busy.share = 0.7
	return []*trial{
		pass.on(onUnix, claim{cpuRequest, fastRouter, 1.00, 0.90}, claim{cpuRequest, netRelay, 1.5, 0}),
		pass.on(onTCP, claim{cpuRequest, fastRouter, 0.95, 0.85}, claim{cpuRequest, netRelay, 1.3, 0}),
		store.on(onUnix, claim{cpuRequest, fastRouter, 1.40, 1.20}),
		store.on(onTCP, claim{cpuRequest, fastRouter, 1.40, 1.20}),
		large.on(onUnix, claim{cpuMiB, fastRouter, 0.15, 0}),
		large.on(onTCP, claim{cpuMiB, fastRouter, 0.15, 0}),
		upload.on(onUnix, claim{cpuRequest, fastRouter, 0.80, 0}),
		upload.on(onTCP, claim{cpuRequest, fastRouter, 0.80, 0}),
		busy.on(onUnix, claim{p99, fastRouter, 1.0, 0}),
		busy.on(onTCP, claim{p99, fastRouter, 1.0, 0}),
	}
}

// named returns a copy with a name and targets.
func (t trial) named(name string, among ...string) trial {
	t.name, t.among = name, among
	return t
}

// on returns a copy for a kind of sockets.
func (t trial) on(kind string, claims ...claim) *trial {
	t.name += ", " + kind
	t.kind, t.claims = kind, claims
	return &t
}
