package cachewriter

// Takes reports whether Put would take the entry now, at a server that answers. It
// does not take room for it: another entry may come first. Expires is not looked at.
func (w *Writer) Takes(e Entry) bool {
	key := Escape(e.Key)
	if CheckKey(key) != nil {
		return false
	}
	t := w.servers()
	addrs, err := t.route(e)
	if err != nil {
		return false
	}
	it := &item{key: key, body: e.Body, began: e.Began}
	for _, addr := range addrs {
		if t.stores[addr].takes(it) {
			return true
		}
	}
	return false
}

func (s *store) takes(it *item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := it.size()
	return !s.closing && !s.breaker.open && !s.w.purges.since(it.key, it.began) &&
		s.entries < s.maxEntries && (s.entries == 0 || s.bytes+size <= s.maxBytes) && s.w.room.left.Load() >= size
}

// IsDown reports whether the breaker of a server to which the entry belongs is open: what
// becomes of the entry may not be known for long. Only Key, HashKey and Addr are looked at.
func (w *Writer) IsDown(e Entry) bool {
	t := w.servers()
	addrs, err := t.route(e)
	if err != nil {
		return true
	}
	for _, addr := range addrs {
		if t.stores[addr].down() {
			return true
		}
	}
	return false
}
