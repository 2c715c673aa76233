package cachewriter

// IsPending reports whether a page that was Put is still on its way to one of its
// servers. When it is not, it is there, or it was dropped or has been deleted since.
// Only Key, HashKey and Addr of the entry are looked at.
func (w *Writer) IsPending(e Entry) bool {
	t := w.servers()
	addrs, err := t.route(e)
	if err != nil {
		return false
	}
	key := Escape(e.Key)
	for _, addr := range addrs {
		if t.stores[addr].isPending(key) {
			return true
		}
	}
	return false
}

func (s *store) isPending(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queued[key] != nil || s.writing[key] != nil
}
