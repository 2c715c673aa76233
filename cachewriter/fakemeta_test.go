package cachewriter

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// fakeMeta is what the meta commands return about an item.
type fakeMeta struct {
	hit, stale, won bool
	cas             uint64
}

func (f *fake) newMeta() fakeMeta {
	f.cas++
	return fakeMeta{cas: f.cas}
}

// metaWords are a parsed meta command.
type metaWords struct {
	f      *fake
	key    string
	tail   string // of the response
	flags  string // the letters
	mode   string
	ttl    int64
	cas    uint64
	client uint32
	body   []byte
	item   fakeItem
	found  bool
}

// metaResponse plays the meta commands as memcached 1.6.18 does; ok is false for
// other commands. It is called with mu held.
func (f *fake) metaResponse(command string, body []byte) (response string, ok bool) {
	words := strings.Fields(command)
	if len(words) == 0 {
		return "", false
	}
	switch words[0] {
	case "version":
		return "VERSION 1.6.18\r\n", true
	case "mn":
		return "MN\r\n", true
	case "mg", "md":
		words = append(words[:2:2], words[2:]...)
	case "ms":
		if body == nil {
			return "CLIENT_ERROR bad command line format\r\n", true
		}
		words = append(words[:2:2], words[3:]...)
	default:
		return "", false
	}
	if len(words[1]) > maxKeyLen {
		return "CLIENT_ERROR bad command line format\r\n", true
	}
	m := metaWords{f: f, key: words[1], body: body}
	for _, w := range words[2:] {
		m.flag(w)
	}
	if m.item, m.found = f.items[m.key]; m.found && m.item.exptime < 0 {
		m.found = false
	}
	switch words[0] {
	case "mg":
		return m.get(), true
	case "ms":
		return m.set() + m.tail + "\r\n", true
	}
	return m.delete() + m.tail + "\r\n", true
}

func (m *metaWords) flag(w string) {
	m.flags += w[:1]
	n, _ := strconv.ParseInt(w[1:], 10, 64)
	switch w[0] {
	case 'b':
		raw, _ := base64.StdEncoding.DecodeString(m.key)
		m.key = string(raw)
	case 'O':
		m.tail += " " + w
	case 'T':
		m.ttl = n
	case 'F':
		m.client = uint32(n)
	case 'C':
		m.cas = uint64(n)
	case 'M':
		m.mode = w[1:]
	}
}

func (m *metaWords) has(flag string) bool { return strings.Contains(m.flags, flag) }

func (m *metaWords) get() string {
	if !m.found {
		return "EN" + m.tail + "\r\n"
	}
	it := m.item
	ttl := it.exptime
	switch {
	case ttl == 0:
		ttl = -1
	case ttl > relativeMax:
		ttl -= time.Now().Unix()
	}
	head := "HD"
	if m.has("v") {
		head = fmt.Sprintf("VA %d", len(it.body))
	}
	for _, f := range m.flags {
		switch f {
		case 't':
			head += fmt.Sprintf(" t%d", ttl)
		case 'h':
			head += map[bool]string{false: " h0", true: " h1"}[it.meta.hit]
		case 'l':
			head += " l0"
		case 'f':
			head += fmt.Sprintf(" f%d", it.flags)
		case 's':
			head += fmt.Sprintf(" s%d", len(it.body))
		case 'c':
			head += fmt.Sprintf(" c%d", it.meta.cas)
		}
	}
	head += m.tail
	if it.meta.stale {
		head += map[bool]string{false: " X W", true: " Z X"}[it.meta.won]
		it.meta.won = true
	}
	if !m.has("u") {
		it.meta.hit = true
	}
	m.f.items[m.key] = it
	if !m.has("v") {
		return head + "\r\n"
	}
	return head + "\r\n" + string(it.body) + "\r\n"
}

func (m *metaWords) set() string {
	switch {
	case len(m.body) > fakeItemMax:
		delete(m.f.items, m.key)
		m.tail = ""
		return "SERVER_ERROR object too large for cache"
	case m.mode == "E" && m.found:
		return "NS"
	case m.cas != 0 && !m.found:
		return "NF"
	}
	meta := m.f.newMeta()
	if m.cas != 0 && m.cas != m.item.meta.cas {
		return "EX"
	}
	m.f.items[m.key] = fakeItem{body: m.body, flags: m.client, exptime: m.ttl, meta: meta}
	if m.has("c") {
		m.tail += fmt.Sprintf(" c%d", meta.cas)
	}
	return "HD"
}

func (m *metaWords) delete() string {
	switch {
	case !m.found:
		return "NF"
	case m.cas != 0 && m.cas != m.item.meta.cas:
		return "EX"
	case !m.has("I"):
		delete(m.f.items, m.key)
		return "HD"
	}
	it := m.item
	it.meta = m.f.newMeta()
	it.meta.stale = true
	m.f.items[m.key] = it
	return "HD"
}
