package stack_test

import (
	"context"
	"fmt"
	"net/http"

	"uwgate/demo/stack"
)

// It needs the servers, so it is not run.
func ExampleStart() {
	s, err := stack.Start(context.Background(), stack.Config{Binary: "bin/uwgate"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	resp, err := http.Get(s.URL("/articles/"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
}
