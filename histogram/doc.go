// Package histogram counts durations.
//
// All histograms count on the same bounds, from 100 µs to 60 s. A metric shows the part of
// them that fits what it measures:
//
//	var took histogram.Histogram // the zero value is ready
//	took.Observe(time.Since(start))
//	s := took.Snapshot(time.Millisecond, time.Minute)
//
// It knows nothing of Prometheus: package gateway/admin turns snapshots into metrics.
package histogram
