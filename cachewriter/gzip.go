package cachewriter

import (
	"bytes"
	"compress/gzip"
	"sync"
)

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// Gzip compresses a body for a server whose nginx has a memcached_gzip_flag: a
// value that it returns with shrunk is stored with exactly that flag. A body that does not
// get smaller comes back as it is, and is stored with the flags 0. Equal bodies
// make equal values. It is safe for concurrent use.
func Gzip(body []byte) (value []byte, shrunk bool) {
	var out bytes.Buffer
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&out)
	// A bytes.Buffer takes everything.
	w.Write(body)
	w.Close()
	if out.Len() >= len(body) {
		return body, false
	}
	return out.Bytes(), true
}
