// Package cachewriter puts finished pages into memcached where nginx will look
// for them.
//
// nginx's memcached_pass reads; nobody but us writes. nginx is therefore the
// judge of everything here, and the contract with it has four parts:
//
//   - The key. nginx sends `get` and the escaped key (Escape); what is stored
//     under any other spelling is never found. nginx asks for keys of any
//     length, memcached takes 250 bytes (CheckKey).
//   - The place. With `hash` in the upstream block nginx picks the server from
//     the raw key, before it is escaped. Ring repeats that choice for
//     `hash E` (Modulo) and `hash E consistent` (Consistent). Every other way
//     of balancing does not follow from the key, and there every server gets
//     the page (All). An address that nginx itself has named (Entry.Addr)
//     overrules the ring.
//   - The value. Flags 0 unless memcached_gzip_flag says otherwise; nginx
//     serves the bytes as they are, zero bytes included.
//   - The end. Every entry has one. Time spent in the queue counts, an entry
//     whose time has passed is not written, and no value is ever written "for
//     ever" by accident.
//
// A Writer is asynchronous, bounded and fails open: Put never waits, what does
// not fit or cannot be delivered is dropped and counted, and a memcached that is
// down, hung or full costs the caller nothing. Delete is the exception: it waits
// for its answer, within bounds, because after it the old page must not be served.
//
//	a, _ := cachewriter.ParseServer("10.0.0.1:11211 weight=2") // as in nginx.conf
//	b, _ := cachewriter.ParseServer("10.0.0.2:11211")
//	ring, err := cachewriter.NewRing(cachewriter.Consistent, a, b)
//	w := &cachewriter.Writer{Ring: ring}
//	err = w.Put(cachewriter.Entry{Key: ":1:/a b", Body: page, Expires: time.Now().Add(time.Minute)})
//
// A delete leaves a tombstone beside the page, which says when it was made. Before and
// after a page is written the tombstone is read: a page that was asked for before the
// delete is not stored, or is deleted again, whichever process made the delete. A
// tombstone lives for 15 minutes, and a page that took longer is not stored.
//
// A server that missed a delete, since it was down or hung, is owed it: what was
// purged meanwhile is gone before anything else is written there. A page whose
// server is down is put where nginx goes on to (Ring.Order).
//
// Meta speaks memcached's meta commands, where they are to be had: with a proxy in
// between, or a memcached before 1.6.10, its methods say ErrNoMeta, and filling
// and deleting do without. Watch tells what a memcached is asked for, and Direct
// writes past the queue; both are for probes.
//
// What belongs to a page and is not for visitors lies under a sibling key, on the same
// server (Sibling): its lock, by which one of all gateways fetches it (Writer.Lock),
// and the last good copy, for the time when the backend fails (Writer.Copies). Whether
// a page was served to anybody is asked with Writer.Usage.
//
// Left out: whether a page may be stored (that is policy), the round-robin state of
// an nginx worker, and the peer lists that nginx changes at run time (`resolve`,
// `service=`).
package cachewriter
