package cachewriter

import "errors"

// MaxKeyLen is the longest wire key, in bytes, that memcached accepts.
const maxKeyLen = 250

// What CheckKey finds wrong with a wire key.
var (
	ErrEmptyKey   = errors.New("cachewriter: key is empty")
	ErrKeyTooLong = errors.New("cachewriter: key is longer than 250 bytes when escaped")
	ErrBadKey     = errors.New("cachewriter: key contains a space or control byte")
)

const upperHex = "0123456789ABCDEF"

// Escape turns a raw key, the value of $memcached_key, into the wire key that
// nginx sends: every byte up to 0x20 and '%' becomes '%' and two upper-case hex
// digits, all others stay, DEL and bytes from 0x80 on among them.
// It mirrors ngx_http_memcached_create_request (NGX_ESCAPE_MEMCACHED).
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

// CheckKey says whether memcached can hold a wire key: ErrEmptyKey,
// ErrKeyTooLong, ErrBadKey (a byte up to 0x20, which an escaped key never has) or
// nil. DEL and bytes from 0x80 on are fine.
//
// It must come before the first byte of a `set`: memcached does not swallow the
// data of a `set` whose key it refuses, and would run the page as commands.
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
