// Package socket makes stream connections that live for one request, over TCP and UNIX
// sockets, with few system calls.
//
// A connection of package net is registered with the runtime's poller when it is made, asked
// for both its addresses, and given a timer for every deadline. Most requests need none of
// that: what nginx sends has arrived when its connection is accepted, and what nginx gets
// fits into the socket. So a [Conn] calls the system first, and waits only if the system says
// so. One goroutine wakes all that wait, and keeps their deadlines; see poller.
//
//	ln, err := socket.Listen(ln)             // its connections are *Conn
//	stop, ok := conn.Watch(true, leave)      // calls leave when the client leaves
//	c := socket.Copy{From: worker, To: conn} // splice(2) where the kernel can
//	socket.Cut(conn, true)                   // an end that does not look complete
//
// The package also moves bytes between connections ([Copy]), asks the kernel who has
// connected ([OwnerOf]), and ends connections so that the peer notices ([Cut], [CloseWrite]).
// It knows nothing of requests. On other systems than Linux the connections are those of
// package net, and what only Linux can do reports that it cannot.
package socket
