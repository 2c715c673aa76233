package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// reloadNginx reloads nginx's configuration, and returns when no worker has the old one.
// Until then, some visitors get it.
func (w *world) reloadNginx() {
	w.t.Helper()
	old := childrenOf(w.Nginx.PID())
	if err := w.Nginx.Reload(); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("nginx has only new workers", func() bool {
		now := childrenOf(w.Nginx.PID())
		return len(now) > 0 && !slices.ContainsFunc(old, func(pid string) bool { return slices.Contains(now, pid) })
	})
}

// childrenOf returns the processes that a process has started and not waited for.
func childrenOf(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}
