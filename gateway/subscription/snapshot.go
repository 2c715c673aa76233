package subscription

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// A snapshot is what the file holds.
type snapshot struct {
	Nodes  []snapshotNode   `json:"nodes"`
	Signed []snapshotSigner `json:"signed,omitempty"`
}

type snapshotNode struct {
	announced
	Seen time.Time `json:"seen"`
}

type snapshotSigner struct {
	Key  string `json:"key"`
	Addr string `json:"address"`
	Unix int64  `json:"unix"`
}

// maxSnapshot bounds what is read of a file, in bytes.
const maxSnapshot = 256 << 20

// Restore reads the snapshot, so that the servers in it are known before the first
// of them announces itself again. Serve does it, too; later calls do nothing. A
// file that cannot be read is logged and left as it is until the next one is
// written.
func (s *Registry) Restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restored || s.Snapshot == "" {
		return
	}
	s.restored = true
	snap, err := readSnapshot(s.Snapshot)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.log().Warn("snapshot not read; servers are known once they announce themselves", zap.Error(err))
	default:
		s.restore(snap, time.Now())
	}
}

func readSnapshot(path string) (snap snapshot, err error) {
	f, err := os.Open(path)
	if err != nil {
		return snap, fmt.Errorf("subscription: snapshot: %w", err)
	}
	defer f.Close()
	if snap, err = parseSnapshot(io.LimitReader(f, maxSnapshot)); err != nil {
		return snap, fmt.Errorf("subscription: snapshot: %s: %w", path, err)
	}
	return snap, nil
}

func parseSnapshot(r io.Reader) (snap snapshot, err error) {
	err = json.NewDecoder(r).Decode(&snap)
	return snap, err
}

// restore takes in what has not grown too old and may still announce itself. Who
// is in it has the whole tolerance from now: nobody has listened in between.
func (s *Registry) restore(snap snapshot, now time.Time) {
	for _, e := range snap.Signed {
		if !isForgotten(e.Unix, now) && s.replays.hasRoom(now) {
			s.replays.add(signer{e.Key, e.Addr}, e.Unix)
		}
	}
	for _, n := range snap.Nodes {
		if now.Sub(n.Seen) >= s.tolerance() {
			continue
		}
		err := s.admitRestored(n.announced)
		if err == nil {
			_, err = s.announce(n.announced, now)
		}
		if err != nil {
			s.log().Warn("server of the snapshot left out", zap.String("key", n.Key), zap.String("server", n.Addr), zap.Error(err))
		}
	}
}

// saveWithin has watch write the snapshot. s.mu is held.
func (s *Registry) saveWithin(d time.Duration, now time.Time) {
	if s.Snapshot == "" {
		return
	}
	if at := now.Add(d); s.saveAt.IsZero() || at.Before(s.saveAt) {
		s.saveAt = at
		s.rouse()
	}
}

func (s *Registry) isSaveDue(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.saveAt.IsZero() && !s.saveAt.After(now)
}

// save writes the snapshot. If that fails, it is tried again after a while.
func (s *Registry) save() {
	if s.Snapshot == "" {
		return
	}
	now := time.Now()
	text, err := json.Marshal(s.snapshot(now))
	if err == nil {
		err = replaceFile(s.Snapshot, text)
	}
	if err != nil {
		s.log().Error("snapshot not written", zap.Error(err))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.saveWithin(10*time.Second, now)
	}
}

func (s *Registry) snapshot(now time.Time) (snap snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saveAt = time.Time{}
	snap.Nodes = make([]snapshotNode, 0, len(s.deadlines))
	for _, m := range s.deadlines {
		snap.Nodes = append(snap.Nodes, snapshotNode{m.announced, m.seen})
	}
	for who, unix := range s.replays.last {
		if !isForgotten(unix, now) {
			snap.Signed = append(snap.Signed, snapshotSigner{who.key, who.addr, unix})
		}
	}
	return snap
}

// replaceFile leaves a whole file at path at all times, the one before or the new
// one.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("subscription: snapshot: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("subscription: snapshot: %w", err)
	}
	return nil
}
