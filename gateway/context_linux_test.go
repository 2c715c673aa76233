package gateway

import (
	"context"
	"errors"
	"net"
	"testing"

	"uwgate/gateway/socket"
)

// Whoever comes while everything is broken off is broken off, too.
func TestCutAllTakesLatecomers(t *testing.T) {
	var open requestContexts
	open.cutAll()
	_, server := ends(t)
	late := open.add(server)
	if !errors.Is(late.ctx.Err(), context.Canceled) {
		t.Errorf("its context: %v", late.ctx.Err())
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("its connection: %v", err)
	}
}

// ends are those of a connection of package socket, the accepted one second.
func ends(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln, err := socket.Listen(listen(t, "unix"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = socket.DialUnix(ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}
