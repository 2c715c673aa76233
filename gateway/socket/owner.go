package socket

// An Owner is the process that has connected to a UNIX socket.
type Owner struct {
	UID uint32
	PID int32
}
