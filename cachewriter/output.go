package cachewriter

import (
	"net"
	"strconv"
)

// shortValue is the length below which a copy of a value costs less than another
// part of a system call.
const shortValue = 1 << 10

// maxText is the largest text buffer that an output keeps.
const maxText = 64 << 10

// An output collects commands, which are sent together in one system call. Longer
// values are not copied, so they must not change until then.
type output struct {
	text  []byte      // commands, and short values
	from  int         // where the text begins that is in none of parts
	parts net.Buffers // what comes before it
}

func (o *output) WriteString(s string) { o.text = append(o.text, s...) }

// command adds a command with nothing but a key.
func (o *output) command(verb, key string) {
	o.WriteString(verb)
	o.WriteString(" ")
	o.WriteString(key)
	o.WriteString("\r\n")
}

// get adds a get of several keys.
func (o *output) get(keys ...string) {
	o.WriteString("get")
	for _, key := range keys {
		o.WriteString(" ")
		o.WriteString(key)
	}
	o.WriteString("\r\n")
}

// storage adds `set`, `add` or `cas`. more are the numbers that follow the length.
func (o *output) storage(verb, key string, value []byte, flags, exptime int64, more ...uint64) {
	o.WriteString(verb)
	o.WriteString(" ")
	o.WriteString(key)
	for _, n := range []int64{flags, exptime, int64(len(value))} {
		o.text = strconv.AppendInt(append(o.text, ' '), n, 10)
	}
	for _, n := range more {
		o.text = strconv.AppendUint(append(o.text, ' '), n, 10)
	}
	o.WriteString("\r\n")
	o.value(value)
	o.WriteString("\r\n")
}

// value adds a value.
func (o *output) value(v []byte) {
	if len(v) < shortValue {
		o.text = append(o.text, v...)
		return
	}
	o.cut()
	o.parts = append(o.parts, v)
}

// cut makes a part of the text that is in none.
func (o *output) cut() {
	if n := len(o.text); n > o.from {
		o.parts = append(o.parts, o.text[o.from:n:n])
		o.from = n
	}
}

// send sends what was collected, and forgets it.
func (o *output) send(nc net.Conn) error {
	var err error
	if len(o.parts) == 0 {
		_, err = nc.Write(o.text)
	} else {
		o.cut()
		rest := o.parts
		_, err = rest.WriteTo(nc)
		clear(o.parts)
	}
	o.parts, o.text, o.from = o.parts[:0], o.text[:0], 0
	if cap(o.text) > maxText {
		o.text = nil
	}
	return err
}
