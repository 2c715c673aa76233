package backend_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"uwgate/gateway/backend"
)

func Example() {
	// Two listeners stand in for uWSGI servers.
	var addresses []string
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		defer ln.Close()
		addresses = append(addresses, ln.Addr().String())
	}
	shop, err := backend.NewPool(addresses[0]+" weight=2", addresses[1])
	if err != nil {
		log.Fatal(err)
	}
	shop.Choice = backend.RoundRobin
	var pools backend.Pools
	if err := pools.Add(shop, ".example.com"); err != nil {
		log.Fatal(err)
	}
	defer pools.Close()

	pool := pools.For("www.example.com", "")
	for range 3 {
		nc, err := pool.Dial(context.Background(), backend.Want{Host: "www.example.com"})
		if err != nil {
			log.Fatal(err)
		}
		// Here the request is sent and its response read.
		nc.Report(backend.Responded)
		nc.Close()
	}
	for _, s := range pool.Stats() {
		fmt.Printf("weight %d: %d of 3 requests\n", s.Weight, s.Requests)
	}
	// Output:
	// weight 2: 2 of 3 requests
	// weight 1: 1 of 3 requests
}
