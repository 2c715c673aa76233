package socket

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The goroutine that wakes connections lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("uwgate/gateway/socket.(*poller).run"))
}

// patience bounds every wait of a test; it is never waited out in one that passes.
const patience = time.Minute
