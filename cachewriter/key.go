package cachewriter

import "errors"

// maxKeyLen is the longest wire key, in bytes, that memcached accepts.
const maxKeyLen = 250

// Errors of CheckKey.
var (
	ErrEmptyKey   = errors.New("cachewriter: key is empty")
	ErrKeyTooLong = errors.New("cachewriter: key is longer than 250 bytes when escaped")
	ErrBadKey     = errors.New("cachewriter: key contains a space or control byte")
)

const upperHex = "0123456789ABCDEF"

// Escape turns a raw key, the value of $memcached_key, into the wire key that nginx
// sends. Every byte up to 0x20 and '%' becomes '%' and two upper-case hex digits; all
// others stay, also DEL and bytes from 0x80 on. It mirrors
// ngx_http_memcached_create_request (NGX_ESCAPE_MEMCACHED).
func Escape(key string) string {
	n := 0
	for i := 0; i < len(key); i++ {
		if escaped(key[i]) {
			n++
		}
	}
	if n == 0 {
		return key
	}
	b := make([]byte, 0, len(key)+2*n)
	for i := 0; i < len(key); i++ {
		c := key[i]
		if !escaped(c) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upperHex[c>>4], upperHex[c&0xf])
	}
	return string(b)
}

func escaped(c byte) bool { return c <= ' ' || c == '%' }

// CheckKey returns why memcached cannot hold a wire key: ErrEmptyKey, ErrKeyTooLong
// or ErrBadKey (a byte up to 0x20, which an escaped key never has). DEL and bytes
// from 0x80 on are fine.
//
// Call it before the first byte of a `set` is sent: memcached does not skip the data
// of a `set` whose key it refuses, and would run the page as commands.
func CheckKey(wire string) error {
	if wire == "" {
		return ErrEmptyKey
	}
	if len(wire) > maxKeyLen {
		return ErrKeyTooLong
	}
	for i := 0; i < len(wire); i++ {
		if wire[i] <= ' ' {
			return ErrBadKey
		}
	}
	return nil
}
