// Package refresh decides which stored pages are fetched again before they expire,
// and when.
//
// A [Schedule] holds a [Page] for each page that has been stored. Shortly before the
// page expires it asks memcached whether the page has been served, and fetches it again if
// it has. The fetch itself, the lock of a fleet and the load of the backend are functions
// that its owner gives to it:
//
//	s := &refresh.Schedule{Store: writer, Log: log, Fetch: fetch}
//	go s.Run(ctx) // returns after ctx is done and the last fetch has ended
//	s.Add(page)   // whenever a page has been handed to the store
//	s.Forget(key) // whenever one has been purged
//
// The package does not know how a page is fetched, judged or stored.
package refresh
