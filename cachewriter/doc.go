// Package cachewriter puts finished pages into memcached, where nginx looks for
// them.
//
// nginx's memcached_pass only reads. Everything here follows from how it reads:
//
//   - The key. nginx sends `get` and the escaped key (Escape). It does not find a
//     page under any other spelling. nginx asks for keys of any length, memcached
//     accepts 250 bytes (CheckKey).
//   - The server. With `hash` in the upstream block, nginx chooses the server by the
//     raw key, before it is escaped. Ring makes the same choice for `hash E` (Modulo)
//     and `hash E consistent` (Consistent). With any other method the choice does not
//     follow from the key, and every server gets the page (All). An address that nginx
//     itself has named (Entry.Addr) takes precedence over the ring.
//   - The value. Flags are 0, or the number of memcached_gzip_flag, and bits that nginx
//     does not look at (ReservedFlags). nginx serves the bytes as they are, zero bytes
//     included.
//   - The expiry. Every entry has one. Time in the queue counts, and an entry that has
//     expired there is not written.
//
// Entries that wait for one server are written together, as are deletes for which nobody
// waits (DeleteLater): three round trips for up to 64 entries, two for up to 64 deletes.
//
// A Writer is asynchronous and bounded, and its failures cost the caller nothing: Put
// never waits; what does not fit or cannot be delivered is dropped and counted. Delete
// waits for its response, within bounds, because after it the old page must not be
// served.
//
//	a, _ := cachewriter.ParseServer("10.0.0.1:11211 weight=2") // as in nginx.conf
//	b, _ := cachewriter.ParseServer("10.0.0.2:11211")
//	ring, err := cachewriter.NewRing(cachewriter.Consistent, a, b)
//	w := &cachewriter.Writer{Ring: ring}
//	err = w.Put(cachewriter.Entry{Key: ":1:/a b", Body: page, Expires: time.Now().Add(time.Minute)})
//
// Deletes hold across gateways. Delete writes a tombstone beside the page, with the
// time. A Writer reads the tombstone before and after it stores a page. If the page
// was requested before the delete, it is not stored, or deleted again. A tombstone
// lives for 15 minutes, and a page that took longer is not stored.
//
// A delete that did not reach its server is pending: the server gets it before anything
// else is written there. If a page's server is down, the page is written to the server
// that nginx asks next.
//
// A wide purge (PurgeMatching) deletes the pages of a Scope: all, a site, a prefix, a path,
// a URL or a tag. No index is kept that could be wrong: the purge lists the keys of each
// server, and asks for the flags and records of the pages. So it finds what other gateways
// and earlier processes have stored. FlagStored marks the pages of Writers; no purge
// deletes a value without it. What is not known of a page matches: a purge deletes too much
// rather than too little. The purge first writes its scopes and the time to a log on the
// server. Every fill reads the log together with the tombstones. Walk lists the pages.
//
// What belongs to a page and is not for visitors lies under a sibling key, on the same
// server (Sibling): the lock by which one of all gateways fetches the page
// (Writer.Lock), the last good copy for when the backend fails (Writer.Copies), the
// tombstone, and the record of its tags, if it has any. Writer.Usage returns whether a page was served. Locks, Usage, walks and the
// rest of wide purges need memcached's meta commands; without them (a proxy, or a memcached
// before 1.6.10) they return ErrNoMeta, and Put, Delete, Get and the log of purges work.
//
// Watch shows what a memcached is asked for, and Direct writes past the queue. Both are
// for probes.
//
// Everything that waits has a bound, and Stats shows how much is there: the queue, the
// pending deletes and purges, the Deletes and the meta commands under way. The requests of
// visitors that wait for a server are bounded, too (ErrBusy).
//
// Left out: whether a page may be stored (package policy), the round-robin state of an
// nginx worker, and servers that nginx changes at run time (`resolve`, `service=`).
package cachewriter
