package refresh_test

import (
	"context"
	"fmt"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/refresh"
	"uwgate/uwsgi"
)

func Example() {
	s := &refresh.Schedule{
		Store: nil, // the *cachewriter.Writer that stores the pages
		Fetch: func(ctx context.Context, page *refresh.Page) refresh.Outcome {
			return refresh.Failed // ask a worker for page.Vars, store the page, and Add it again
		},
	}
	// go s.Run(ctx) // begins to ask and to fetch

	now := time.Now()
	s.Add(&refresh.Page{
		Entry: cachewriter.Entry{Key: "http://example.com/"},
		Vars:  uwsgi.Vars{{Name: "REQUEST_URI", Value: "/"}},
		Took:  40 * time.Millisecond,
		Soft:  now.Add(time.Minute),
		Hard:  now.Add(2 * time.Minute),
	})
	fmt.Println("pages:", s.Stats().Keys)
	s.Forget("http://example.com/") // it has been purged
	fmt.Println("pages:", s.Stats().Keys)
	// Output:
	// pages: 1
	// pages: 0
}
