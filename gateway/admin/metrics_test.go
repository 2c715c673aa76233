package admin

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"uwgate/cachewriter"
	"uwgate/gateway"
	"uwgate/gateway/backend"
	"uwgate/gateway/hits"
	"uwgate/gateway/policy"
	"uwgate/gateway/purge"
	"uwgate/gateway/refresh"
	"uwgate/gateway/subscription"
	"uwgate/histogram"
)

var update = flag.Bool("update", false, "write docs/metrics.md from the table of metrics")

// everything is a snapshot in which each number differs from all others.
func everything() *snapshot {
	var took, latency histogram.Histogram
	for _, d := range []time.Duration{time.Millisecond, 2 * time.Millisecond, 750 * time.Millisecond, 100 * time.Second} {
		took.Observe(d)
	}
	latency.Observe(200 * time.Microsecond)
	return &snapshot{
		Stats: gateway.Stats{
			Listening:   gateway.ListenStats{Refused: 6, Probes: 2, Pings: 3, Handshakes: map[string]uint64{"full": 20, "resumed": 21, "failed": 22}},
			Connections: gateway.ConnectionStats{Open: 55, Limit: 56, Pauses: 57},
			Requests: gateway.RequestStats{
				InFlight: 1, Statuses: map[int]uint64{200: 12, 404: 13}, Reasons: map[policy.Reason]uint64{policy.SMaxAge: 14},
				Observed: 7, Captures: 58, Failures: map[string]uint64{"backend": 15}, VarsDropped: map[string]uint64{"UWSGI_FILE": 18},
				Unheard: 5, Panics: 4, Bytes: 8, Spliced: 9, Took: took.Snapshot(time.Millisecond, time.Minute),
				Observe: true, CaptureMax: 110, Verdicts: map[string]uint64{"store": 111, "pass": 112}, FirstByte: took.Snapshot(time.Millisecond, time.Minute), Queued: latency.Snapshot(time.Millisecond, time.Minute),
			},
			Flights: gateway.FlightStats{Flights: 23, Followers: 24, Ends: map[string]uint64{"shared": 16}, Copies: map[string]uint64{"kept": 17}},
			Spool:   gateway.SpoolStats{Memory: 11, Files: 10, Disk: 54, MemoryLimit: 113, DiskLimit: 114},
			Refresh: &refresh.Stats{Events: map[refresh.Event]uint64{"cold": 19}, Keys: 25, Bytes: 26, Fetching: 27},
			Purges: purge.Stats{Purges: map[purge.Kind]uint64{{Mode: "hard", Outcome: purge.Done}: 59}, Refused: map[string]uint64{purge.RefusedRate: 60},
				Deleted: 61, Fetched: 62, Failed: 63, Waiting: 64},
		},
		pools: []poolStats{{"default", backend.PoolStats{Requests: 115, Waiting: 33, Queued: 34, QueueFull: 35, QueueTimeouts: 36, Retries: 37, RetriesDenied: 38},
			[]backend.NodeStats{{Name: "127.0.0.1:11", Up: true, Requests: 28, DialErrors: 29, Busy: 30, InFlight: 31}, {Name: "127.0.0.1:12"}}}},
		subscriptions: &subscription.Stats{Keys: 39, Nodes: 40, Announced: 41, Left: 42, Expired: 43, Refused: map[subscription.Refusal]uint64{subscription.RefusedRate: 44}},
		store: []cachewriter.ServerStats{{
			Addr: "127.0.0.1:13", QueuedEntries: 45, QueuedBytes: 46, Stored: 47, Refused: 48, Failed: 49, DeleteErrors: 100,
			Dropped: map[cachewriter.Drop]uint64{cachewriter.DropQueueFull: 50}, Deletes: 51, Purges: 101, Walks: 116, WalkErrors: 117, WalkTime: 118 * time.Second, Pending: cachewriter.PendingStats{Entries: 52, Done: 100, Lost: 53, Purges: 102},
			Latency: latency.Snapshot(100*time.Microsecond, 250*time.Millisecond),
		}},
		queue: cachewriter.QueueLimits{Bytes: 119, Entries: 120},
		info: []cachewriter.Info{{Addr: "127.0.0.1:13", Version: "1", Hits: 121, Misses: 122, Sets: 123, Evictions: 124, Items: 125, Bytes: 126, Limit: 127, Connections: 128, MaxConnections: 129},
			{Addr: "127.0.0.1:14", Err: io.EOF}},
		hits: &hits.Stats{Last: time.Unix(130, 0), Counted: 131, Malformed: 132, Oversized: 133, Forbidden: 134, Lost: 135,
			Hosts: []hits.Host{{Host: "www.example.com", Lookups: map[hits.Lookup]hits.Count{hits.Hit: {Requests: 136, Statuses: map[string]uint64{"2xx": 136}, Bytes: 137}}}},
			Took:  map[hits.Lookup]histogram.Snapshot{hits.Hit: latency.Snapshot(time.Millisecond, time.Minute)}},
		busy:    map[string]float64{"cookie": 138.5},
		program: program{"1.2.3", ReloadStatus{InForce: time.Unix(139, 500_000_000), Error: "a typing error"}, 140},
	}
}

// exposition is what a scrape of s returns, without the help texts.
func exposition(s *snapshot) string {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(func() *snapshot { return s }))
	_, body := visit(promhttp.HandlerFor(r, promhttp.HandlerOpts{}), "/metrics")
	body = strings.ReplaceAll(body, runtime.Version(), "GO")
	return regexp.MustCompile("(?m)^# HELP .*\n").ReplaceAllString(body, "")
}

// Names, types, labels and buckets are those that operators' dashboards know. The file holds
// them as they were recorded before there was a table, and what was added since; see
// testdata/README.md. -update adds lines, and changes none.
func TestExposition(t *testing.T) {
	const path = "testdata/exposition.txt"
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := exposition(everything())
	if *update && !slices.ContainsFunc(strings.Split(string(want), "\n"), func(line string) bool { return !strings.Contains("\n"+got, "\n"+line+"\n") && line != "" }) {
		want = []byte(got)
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got != string(want) {
		gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for _, line := range gotLines {
			if !slices.Contains(wantLines, line) {
				t.Errorf("there is a new line %q", line)
			}
		}
		for _, line := range wantLines {
			if !slices.Contains(gotLines, line) {
				t.Errorf("there is no line %q", line)
			}
		}
		if !t.Failed() {
			t.Errorf("the order of the lines has changed:\n%s", got)
		}
	}
}

// What is turned off has no metrics, instead of zeros.
func TestExpositionOfLittle(t *testing.T) {
	got := exposition(&snapshot{})
	for _, name := range []string{"uwgate_refresh_pages", "uwgate_subscription_keys", "uwgate_store_up", "uwgate_pool_queue_requests"} {
		if strings.Contains(got, name) {
			t.Errorf("there is a metric %s", name)
		}
	}
	for _, line := range []string{"uwgate_requests_in_flight 0\n", "uwgate_panics_total 0\n", "uwgate_request_duration_seconds_count 0\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("there is no line %q", line)
		}
	}
}

func TestTable(t *testing.T) {
	names := map[string]bool{}
	for _, m := range metrics {
		if names[m.name] {
			t.Errorf("%s is there twice", m.name)
		}
		names[m.name] = true
		if (m.kind == counter) != strings.HasSuffix(m.name, "_total") {
			t.Errorf("%s is a %s: counters, and nothing else, end in _total", m.name, m.kind)
		}
		for _, unit := range []string{"bytes", "seconds"} {
			if strings.Contains(m.name, "_"+unit) != (m.unit == unit) {
				t.Errorf("%s has the unit %q", m.name, m.unit)
			}
		}
		if m.help == "" || !strings.HasSuffix(m.help, ".") {
			t.Errorf("the help of %s is no sentence: %q", m.name, m.help)
		}
	}
}

// docs/metrics.md is made from the table. To do so: go test ./gateway/admin -update
func TestDocumented(t *testing.T) {
	const path = "../../docs/metrics.md"
	want := document()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s does not fit the table of metrics; write it with: go test ./gateway/admin -run TestDocumented -update", path)
	}
}

// document is docs/metrics.md.
func document() string {
	var b strings.Builder
	b.WriteString(`# Metrics

<!-- Made from gateway/admin/table.go by: go test ./gateway/admin -run TestDocumented -update -->

` + "`uwgate serve --admin ADDRESS` serves metrics in Prometheus' format at `/metrics`:" + `

    $ curl -s --unix-socket /run/uwgate/admin.sock http://uwgate/metrics | grep queue
    uwgate_pool_queue_requests{pool="default"} 0
    uwgate_store_queue_bytes{server="127.0.0.1:11211"} 0
    uwgate_store_queue_entries{server="127.0.0.1:11211"} 0

Counters count since uwgate started. A counter with a label for a word (` + "`reason`, `event`, `var`" + `) has no line
for a word that has not occurred. Metrics of subscriptions, refreshes and memcached are only there if uwgate is
configured to use them. Besides these, there are the metrics of the process and of Go's runtime
(` + "`process_open_fds`, `process_resident_memory_bytes`, `go_goroutines`" + ` and so on).

| metric | type | labels | unit | meaning | alert if |
|---|---|---|---|---|---|
`)
	for _, m := range metrics {
		labels := make([]string, len(m.labels))
		for i, l := range m.labels {
			labels[i] = "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `uwgate_%s` | %s | %s | %s | %s | %s |\n", m.name, m.kind, strings.Join(labels, ", "), m.unit, m.help, m.alert)
	}
	return b.String()
}

// The labels of the table are those of the exposition.
func TestLabels(t *testing.T) {
	samples := regexp.MustCompile(`(?m)^uwgate_([a-z_]+)\{(.*)\} `).FindAllStringSubmatch(exposition(everything()), -1)
	used := map[string][]string{}
	for _, s := range samples {
		var labels []string
		for _, l := range regexp.MustCompile(`([a-z]+)="`).FindAllStringSubmatch(s[2], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		used[strings.TrimSuffix(s[1], "_bucket")] = labels
	}
	for _, m := range metrics {
		want := slices.Sorted(slices.Values(m.labels))
		if got := used[m.name]; !slices.Equal(got, want) {
			t.Errorf("%s has the labels %q, want %q", m.name, got, want)
		}
		delete(used, m.name)
	}
	for name := range maps.Keys(used) {
		if !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
			t.Errorf("%s is not in the table", name)
		}
	}
}
