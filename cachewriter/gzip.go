package cachewriter

import (
	"bytes"
	"compress/gzip"
	"sync"
)

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// Gzip compresses a body for nginx's memcached_gzip_flag. If shrunk, store the value
// with exactly that flag. A body that does not get smaller is returned as it is;
// store it with flags 0. Equal bodies give equal values. Gzip is safe for concurrent
// use.
func Gzip(body []byte) (value []byte, shrunk bool) {
	var out bytes.Buffer
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&out)
	// A bytes.Buffer returns no error.
	w.Write(body)
	w.Close()
	if out.Len() >= len(body) {
		return body, false
	}
	return out.Bytes(), true
}
