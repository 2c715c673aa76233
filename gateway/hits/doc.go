// Package hits counts what nginx serves without the gateway: the hits.
//
// nginx sends a line of its access log for each request, as a datagram:
//
//	log_format hits escape=json '{"host":"$host","uri":"$request_uri","status":"$status","bytes":"$bytes_sent","time":"$request_time","addr":"$upstream_addr","upstream":"$upstream_status"}';
//	access_log syslog:server=unix:/run/uwgate/hits.sock,nohostname,tag=uwgate hits;
//
// A [Receiver] reads these lines, and counts them by host, by what became of the lookup, and
// by status:
//
//	r := &hits.Receiver{IsStore: ring.Has}
//	go r.Serve(ctx, packetConn)
//	for _, h := range r.Stats().Hosts { fmt.Println(h.Host, h.Hits(), h.Misses()) }
//
// A lookup is known by the first server that nginx asked: if that is a memcached server, a 200
// of it is a hit, a 404 is a miss, and everything else means that memcached did not respond.
// With srcache, as in the format http, "fetch":"$srcache_fetch_status" says it. Hits and misses
// come from the same lines, so that a line that is lost makes no ratio wrong by more than the
// share of lost lines, and none is over 100 %.
//
// nginx sends without waiting: what the socket has no room for is lost. The kernel counts what
// is lost at a UDP socket. At a UNIX socket nobody counts it, see [Stats].
//
// The package bounds all that it keeps, whatever it is sent. It writes nothing back.
package hits
