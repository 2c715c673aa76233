package settings

import (
	"math"
	"time"
)

func trafficRows() []row {
	return []row{
		{name: "fleet", kind: toggle(func(s *Settings) *bool { return &s.Traffic.Fleet }), defaults: []string{"false"}, example: "true", restart: true,
			help: "share responses with other gateways that fill the same memcached: one of them sends the request for a page to a worker, and the others wait (docs/flights.md)"},
		{name: "coalesce-wait", kind: period(func(s *Settings) *time.Duration { return &s.Traffic.CoalesceWait }, zeroIs("no wait")), defaults: []string{"5s"}, example: "5s", restart: true,
			help: "wait this `TIME` at most for the response to another request for the same page; 0s does not wait"},
		{name: "coalesce-followers", kind: number(func(s *Settings) *int { return &s.Traffic.CoalesceFollowers }, 1, math.MaxInt32, "; --coalesce-wait 0s makes none wait"), defaults: []string{"10000"}, example: "10000", restart: true,
			help: "hold at most this `NUMBER` of requests that wait for one page; others go to a worker"},
		{name: "first-byte-timeout", kind: period(func(s *Settings) *time.Duration { return &s.Traffic.FirstByteTimeout }, positive), defaults: []string{"1m"}, example: "1m", restart: true,
			help: "wait this `TIME` at most from the end of the request to the first byte of the response; then answer 504"},
		{name: "idle-timeout", kind: period(func(s *Settings) *time.Duration { return &s.Traffic.IdleTimeout }, positive), defaults: []string{"1m"}, example: "1m", restart: true,
			help: "wait this `TIME` at most for the next part of the body of a request or a response"},
		{name: "send-timeout", kind: period(func(s *Settings) *time.Duration { return &s.Traffic.SendTimeout }, zeroIs("no bound")), defaults: []string{"0s"}, example: "5m", restart: true,
			help: "wait this `TIME` at most while nginx reads nothing of a response; 0s for no bound: nginx's send_timeout ends slow clients"},
		{name: "total-timeout", kind: period(func(s *Settings) *time.Duration { return &s.Traffic.TotalTimeout }, zeroIs("no bound")), defaults: []string{"0s"}, example: "5m", restart: true,
			help: "end a request after this `TIME`; 0s for no bound"},
		{name: "drain-timeout", kind: period(func(s *Settings) *time.Duration { return &s.Traffic.DrainTimeout }, nil), defaults: []string{"30s"}, example: "30s", restart: true,
			help: "wait this `TIME` at most for the requests in flight when uwgate stops; a negative time for no bound"},
		{name: "max-request-body", kind: amount(func(s *Settings) *Size { return &s.Traffic.MaxRequestBody }), defaults: []string{"0"}, example: "10M", restart: true,
			help: "answer 413 to a request whose body is larger than this `SIZE`; 0 leaves that to nginx's client_max_body_size"},
		{name: "stream-uploads", kind: toggle(func(s *Settings) *bool { return &s.Traffic.StreamUploads }), defaults: []string{"false"}, example: "true", restart: true,
			help: "send request bodies to a worker as they come; else uwgate reads the whole body first"},
		{name: "spool-dir", kind: text("directory", func(s *Settings) *string { return &s.Traffic.SpoolDir }, nil), example: "/var/tmp", restart: true,
			help: "keep large request bodies in temporary files in this `DIRECTORY`, by default the system's"},
		{name: "spool-memory", kind: amount(func(s *Settings) *Size { return &s.Traffic.SpoolMemory }), defaults: []string{"64M"}, example: "64M", restart: true,
			help: "keep this `SIZE` of request bodies at most in memory, all together; others go to files"},
		{name: "spool-disk", kind: amount(func(s *Settings) *Size { return &s.Traffic.SpoolDisk }), defaults: []string{"4G"}, example: "4G", restart: true,
			help: "keep this `SIZE` of request bodies at most in files, all together; answer 503 to a body that would exceed it, and 413 to one that is larger; 0 for no bound"},
		{name: "capture-memory", kind: amount(func(s *Settings) *Size { return &s.Traffic.CaptureMemory }), defaults: []string{"64M"}, example: "64M", restart: true,
			help: "copy this `SIZE` of pages at most while they are relayed, all together; others are not stored; 0 for no bound"},
		{name: "queue-bytes", kind: someBytes(func(s *Settings) *Size { return &s.Store.QueueBytes }), defaults: []string{"64M"}, example: "64M", restart: true,
			help: "queue this `SIZE` of pages at most for memcached; others are not stored"},
		{name: "queue-entries", kind: number(func(s *Settings) *int { return &s.Store.QueueEntries }, 1, math.MaxInt32, ""), defaults: []string{"4096"}, example: "4096", restart: true,
			help: "queue this `NUMBER` of pages at most for memcached; others are not stored"},
		{name: "memcached-connect-timeout", kind: period(func(s *Settings) *time.Duration { return &s.Store.ConnectTimeout }, positive), defaults: []string{"100ms"}, example: "100ms", restart: true,
			help: "wait this `TIME` at most for a connection to memcached"},
		{name: "memcached-timeout", kind: period(func(s *Settings) *time.Duration { return &s.Store.Timeout }, positive), defaults: []string{"250ms"}, example: "250ms", restart: true,
			help: "wait this `TIME` at most for one operation of memcached"},
	}
}
