package histogram_test

import (
	"fmt"
	"time"

	"uwgate/histogram"
)

func Example() {
	var took histogram.Histogram
	took.Observe(3 * time.Millisecond)
	took.Observe(7 * time.Millisecond)
	s := took.Snapshot(time.Millisecond, 10*time.Millisecond)
	fmt.Println(s.Count, "durations,", s.Sum, "altogether")
	for _, b := range s.Buckets {
		fmt.Println(b.Count, "of at most", b.Le)
	}
	// Output:
	// 2 durations, 10ms altogether
	// 0 of at most 1ms
	// 0 of at most 2.5ms
	// 1 of at most 5ms
	// 2 of at most 10ms
}
