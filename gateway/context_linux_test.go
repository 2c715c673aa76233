package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"uwgate/gateway/socket"
	"uwgate/uwsgi"
)

// Whether nginx leaves is watched while it waits, and no longer.
func TestWatchEndsWithTheRequest(t *testing.T) {
	response := make(chan bool)
	b := newBench(t, nil, func(nc net.Conn, req *uwsgi.Request, body *bufio.Reader) {
		<-response
		says(okPage("late"))(nc, req, body)
	})
	watcher, err := socket.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	client, server := ends(t)
	served := make(chan bool)
	go func() {
		b.serveConn(&requestContexts{watcher: watcher}, server)
		close(served)
	}()
	client.Write(encode(t, missed("/")))
	eventually(t, "the client to be watched", func() bool { return watcher.Len() == 1 })
	close(response)
	raw, err := io.ReadAll(client)
	if got := parseResponse(t, raw, err, "GET"); got.body != "late" {
		t.Errorf("response %q, %v", got.body, got.err)
	}
	client.Close()
	<-served
	if n := watcher.Len(); n != 0 {
		t.Errorf("%d are still watched", n)
	}
}

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
