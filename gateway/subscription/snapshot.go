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

// A snapshot is the content of the file.
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

// maxSnapshot is the most bytes that are read from a snapshot file.
const maxSnapshot = 256 << 20

// saveRetry is the pause after a snapshot that could not be written.
const saveRetry = 10 * time.Second

// Restore reads the snapshot, so that its servers are members before they announce
// themselves again. Serve calls it too; later calls do nothing. A file that cannot be
// read is logged, and stays as it is until the next snapshot is written.
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
		s.log().Warn("the snapshot could not be read; its servers are unknown until they announce themselves", zap.Error(err))
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

// restore adds the servers that are not too old and still admitted. They get the whole
// tolerance from now, since nobody listened in between. s.mu is held.
func (s *Registry) restore(snap snapshot, now time.Time) {
	for _, e := range snap.Signed {
		if !isForgotten(e.Unix, now) && s.replays.makeRoom(now) {
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
			s.log().Warn("a server of the snapshot was left out", zap.String("key", n.Key), zap.String("server", n.Addr), zap.Error(err))
		}
	}
}

// saveWithin makes the snapshot due after d, or earlier if it already is. s.mu is held.
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

// save writes the snapshot. If that fails, the next try is due after saveRetry.
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
		s.log().Error("the snapshot could not be written; uwgate tries again", zap.Error(err))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.saveWithin(saveRetry, now)
	}
}

// snapshot returns the content of the file, and notes that it is up to date.
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

// replaceFile writes the file so that path is a whole file at all times: the old one or
// the new one.
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
