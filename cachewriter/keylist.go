package cachewriter

import (
	"errors"
	"sync"
)

// A keyList holds the keys of a server that are listed and not yet asked for. It is
// compact, since the list must be read at once, however long it is: see dump. One
// goroutine adds keys, and another takes them.
type keyList struct {
	mu     sync.Mutex // guards everything below
	more   sync.Cond  // a chunk is complete, or the list has ended
	chunks [][]byte   // complete; each key is one byte with its length, and the key
	chunk  []byte     // the last, which is not complete
	count  int        // of its keys
	max    int        // chunks that may wait
	ended  bool
	err    error
}

const (
	// chunkKeys and chunkBytes bound a chunk: it is what is asked for at a time.
	chunkKeys, chunkBytes = 512, 32 << 10

	// maxChunks is how many chunks may wait: 64 MiB.
	maxChunks = 64 << 20 / chunkBytes
)

// errManyKeys means that more keys were listed than can wait.
var errManyKeys = errors.New("too many keys at a time")

func newKeyList(maxChunks int) *keyList {
	l := &keyList{max: maxChunks}
	l.more.L = &l.mu
	return l
}

// add adds a wire key.
func (l *keyList) add(key []byte) error {
	if l.count == chunkKeys || len(l.chunk)+1+len(key) > chunkBytes {
		if err := l.complete(); err != nil {
			return err
		}
	}
	if l.chunk == nil {
		l.chunk = make([]byte, 0, chunkBytes)
	}
	l.chunk = append(append(l.chunk, byte(len(key))), key...)
	l.count++
	return nil
}

// complete passes the last chunk on.
func (l *keyList) complete() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.chunks) >= l.max {
		return errManyKeys
	}
	if l.count > 0 {
		l.chunks = append(l.chunks, l.chunk)
		l.more.Signal()
	}
	l.chunk, l.count = nil, 0
	return nil
}

// end ends the list. err is why it is not complete, or nil.
func (l *keyList) end(err error) {
	if err == nil {
		err = l.complete()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.err = true, err
	l.more.Signal()
}

// next waits for keys and returns some of them, or nil after the last one.
func (l *keyList) next() (keys []string, err error) {
	l.mu.Lock()
	for len(l.chunks) == 0 && !l.ended {
		l.more.Wait()
	}
	var chunk []byte
	if l.err == nil && len(l.chunks) > 0 {
		chunk = l.chunks[0]
		l.chunks[0], l.chunks = nil, l.chunks[1:]
	}
	err = l.err
	l.mu.Unlock()
	for len(chunk) > 0 {
		n := 1 + int(chunk[0])
		keys = append(keys, string(chunk[1:n]))
		chunk = chunk[n:]
	}
	return keys, err
}
