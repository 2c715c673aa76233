package subscription_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"uwgate/gateway/subscription"
	"uwgate/uwsgi"
)

func Example() {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	r := &subscription.Registry{
		Admission: subscription.Admission{Keys: []string{"*.example.com"}},
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- r.Serve(ctx, pc) }()

	// A uWSGI server announces that it serves a host.
	announcement := uwsgi.Subscription{Key: "www.example.com", Address: "127.0.0.1:3031", Weight: 2}
	datagram, err := announcement.Append(nil)
	if err != nil {
		log.Fatal(err)
	}
	nc, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	for r.Pool("www.example.com") == nil {
		nc.Write(datagram) // a datagram may be lost
		time.Sleep(10 * time.Millisecond)
	}

	for _, service := range r.Services() {
		for _, node := range service.Pool.Stats() {
			fmt.Println(service.Key, "at", node.Name, "with weight", node.Weight)
		}
	}
	stop()
	fmt.Println(<-served)
	for _, pool := range r.Pools() {
		pool.Close()
	}
	// Output:
	// www.example.com at 127.0.0.1:3031 with weight 2
	// <nil>
}
