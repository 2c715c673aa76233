// Package tally counts by names that strangers choose, such as hosts and URLs, in bounded
// memory.
//
// A [Table] has a value for each of the names that are in use. What there is no room for is
// counted under the name [Other]:
//
//	var hosts tally.Table[int] // the zero value is ready, and holds 100 names
//	hosts.Do("www.example.com", time.Now(), func(n *int) { *n++ })
//
// A [Top] finds the names that come most often in a span of time, and a [Slowest] what took
// longest.
//
// It knows nothing of requests: the packages that count say what a value is.
package tally
