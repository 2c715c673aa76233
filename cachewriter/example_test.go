package cachewriter_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"uwgate/cachewriter"
)

// The server that nginx asks for a page, with this upstream block:
//
//	upstream mem { hash $memcached_key consistent; server 10.0.0.1:11211 weight=2; server 10.0.0.2:11211; }
func ExampleRing() {
	var servers []cachewriter.Server
	for _, line := range []string{"10.0.0.1:11211 weight=2", "10.0.0.2:11211"} {
		s, err := cachewriter.ParseServer(line)
		if err != nil {
			log.Fatal(err)
		}
		servers = append(servers, s)
	}
	ring, err := cachewriter.NewRing(cachewriter.Consistent, servers...)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range []string{":1:CUSTOMKEY:/", ":1:CUSTOMKEY:/a%20b", ":1:CUSTOMKEY:/news"} {
		fmt.Println(cachewriter.Escape(key), ring.Pick(key))
	}
	// Output:
	// :1:CUSTOMKEY:/ [10.0.0.1:11211]
	// :1:CUSTOMKEY:/a%2520b [10.0.0.1:11211]
	// :1:CUSTOMKEY:/news [10.0.0.2:11211]
}

func ExampleWriter() {
	ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: "unix:memcached.sock"})
	if err != nil {
		log.Fatal(err)
	}
	w := &cachewriter.Writer{Ring: ring}
	page := cachewriter.Entry{
		Key:     ":1:CUSTOMKEY:/",
		Body:    []byte("<!doctype html>"),
		Expires: time.Now().Add(10 * time.Minute),
	}
	fmt.Println(w.Pick(page.Key))
	fmt.Println(w.Put(page)) // queued; an error would only mean that the page is not stored

	page.Key += strings.Repeat("x", 300)
	fmt.Println(w.Put(page))

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := w.Close(ctx); err != nil {
		log.Print(err)
	}
	// Output:
	// [unix:memcached.sock]
	// <nil>
	// cachewriter: key is longer than 250 bytes when escaped
}
