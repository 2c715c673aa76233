package socket_test

import (
	"fmt"
	"io"
	"net"
	"time"

	"uwgate/gateway/socket"
)

// A body without a length is copied until its end, with a bound for each pause.
func ExampleCopy() {
	worker, from := net.Pipe()
	to, client := net.Pipe()
	go func() {
		io.WriteString(worker, "hello")
		worker.Close()
	}()
	got := make(chan string)
	go func() {
		body, _ := io.ReadAll(client)
		got <- string(body)
	}()

	c := socket.Copy{From: from, To: to, Left: socket.Endless, Idle: time.Minute}
	fmt.Println(c.Run(), c.Taken())
	to.Close()
	fmt.Println(<-got)
	// Output:
	// EOF 5
	// hello
}
