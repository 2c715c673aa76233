// Package socket has stream connections that live for one request, over TCP and
// UNIX sockets, with the fewest system calls that do.
//
// Those of package net are registered with the runtime's poller when they are made,
// asked for both their addresses, and given a timer for every deadline. Most
// requests need nothing of that: what nginx sends is there when its connection is
// accepted, and what it is sent fits into the socket. So a [Conn] calls the system
// first, and waits only when the system says so.
//
// On other systems than Linux it is package net.
package socket
