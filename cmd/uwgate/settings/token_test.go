package settings

import (
	"fmt"
	"strings"
	"testing"
)

// The help of each token, and so docs/settings.md, says how long it must be.
func TestTokensSayTheirLength(t *testing.T) {
	want, seen := fmt.Sprintf("at least %d letters and digits", minToken), 0
	for _, r := range append(controlRows(), purgeRows()...) {
		if r.name != "admin-token" && r.name != "purge-token" {
			continue
		}
		seen++
		if !strings.Contains(r.help, want) {
			t.Errorf("--%s: %q lacks %q", r.name, r.help, want)
		}
	}
	if seen != 2 {
		t.Errorf("%d tokens", seen)
	}
}
