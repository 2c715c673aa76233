package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"

	"uwgate/gateway"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A worker responds to nginx through a gateway that stores nothing.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	worker := listen(filepath.Join(dir, "worker.sock"))
	defer worker.Close()
	go respond(worker)

	pool, err := backend.NewPool("unix:" + worker.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	g := &gateway.Gateway{Backends: &backend.Pools{Default: pool}, Policy: &policy.Policy{}}
	ln := listen(filepath.Join(dir, "gateway.sock"))
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, ln) }()

	fmt.Println(ask(ln.Addr().String()))
	stop()
	fmt.Println(<-served)
	// Output:
	// 200 hello from /about
	// <nil>
}

func listen(path string) net.Listener {
	ln, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	return ln
}

// respond is a worker for one request.
func respond(ln net.Listener) {
	nc, err := ln.Accept()
	if err != nil {
		return
	}
	defer nc.Close()
	req, err := uwsgi.ReadRequest(bufio.NewReader(nc))
	if err != nil {
		return
	}
	fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello from %s", req.Vars.Get("PATH_INFO"))
}

// ask sends a request as nginx does.
func ask(path string) string {
	nc, err := net.Dial("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	packet, err := (&uwsgi.Request{Vars: uwsgi.Vars{
		{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/about"}, {Name: "PATH_INFO", Value: "/about"},
		{Name: "HTTP_HOST", Value: "example.com"}, {Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
	}}).Append(nil)
	if err != nil {
		log.Fatal(err)
	}
	nc.Write(packet)
	br := bufio.NewReader(nc)
	resp, err := uwsgi.ReadResponse(br)
	if err != nil {
		log.Fatal(err)
	}
	body, _ := io.ReadAll(br)
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}
