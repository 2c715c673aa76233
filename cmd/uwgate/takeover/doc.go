// Package takeover lets a new process serve on the sockets of another one, so that no
// client finds nobody there.
//
// The other one is systemd, which passes sockets to the processes that it starts
// (LISTEN_FDS, [FromSystemd]), or a uwgate that is to be replaced. That one has an [Offer]:
// over the UNIX socket of its admin side it passes its sockets to a process of the same
// user or of root (SCM_RIGHTS, [Ask]). Both accept connections until the new one says that
// it serves ([Inherited.Serving]); then the old one drains. If the new one fails before, the
// old one goes on as if nothing had happened.
//
//	sockets, err := takeover.Ask(ctx, "/run/uwgate/admin.sock")
//	ln, err := sockets.Listener("unix", "/run/uwgate/uwgate.sock") // nil: the old one has no such socket
//	...
//	err = sockets.Serving()
package takeover
