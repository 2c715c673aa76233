package admin

import (
	"sync"
	"time"
)

// reloads are what became of the settings at the start and at each HUP.
type reloads struct {
	mu     sync.Mutex // guards what follows
	status ReloadStatus
}

// A ReloadStatus is about the last time that the settings were read.
type ReloadStatus struct {
	InForce time.Time `json:"in_force"`        // when the settings in force were read
	At      time.Time `json:"at"`              // when settings were read last
	Error   string    `json:"error,omitempty"` // why these are not in force
}

// NoteReload notes that the settings were read: err is why they are not in force.
func (a *Admin) NoteReload(err error) {
	r := &a.reloads
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.At, r.status.Error = time.Now(), ""
	if err != nil {
		r.status.Error = err.Error()
		return
	}
	r.status.InForce = r.status.At
}

// get returns the status. Before the first NoteReload the settings are those of the start.
func (r *reloads) get() ReloadStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	if s.InForce.IsZero() {
		s.InForce = processStart
	}
	if s.At.IsZero() {
		s.At = processStart
	}
	return s
}
