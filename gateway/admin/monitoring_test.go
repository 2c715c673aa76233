package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.yaml.in/yaml/v3"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
)

// promtool runs Prometheus' own tool, and returns what it says if it refuses.
func promtool(t *testing.T, in []byte, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("UWGATE_TEST_STACK") == "1" {
			t.Fatal(err, "; demo/install installs it")
		}
		t.Skip(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = bytes.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "FAILED") {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

// scrape is what a scrape of s returns, with the help texts.
func scrape(s *snapshot) []byte {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(func() *snapshot { return s }))
	_, body := visit(promhttp.HandlerFor(r, promhttp.HandlerOpts{}), "/metrics")
	return []byte(body)
}

func TestConventions(t *testing.T) { promtool(t, scrape(everything()), "check", "metrics") }

// The alert rules are valid, and fire as their examples say.
func TestAlertRules(t *testing.T) {
	promtool(t, nil, "check", "rules", "../../deploy/prometheus/uwgate.rules.yml")
	promtool(t, nil, "test", "rules", "../../deploy/prometheus/uwgate.test.yml")
}

// Each alert has an example in which it fires.
func TestAlertsHaveExamples(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert string }
		}
	}
	var examples struct {
		Tests []struct {
			Alerts []struct {
				Name     string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, "../../deploy/prometheus/uwgate.rules.yml", &rules)
	readYAML(t, "../../deploy/prometheus/uwgate.test.yml", &examples)
	fires := map[string]bool{}
	silent := map[string]bool{}
	for _, test := range examples.Tests {
		for _, a := range test.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Expected) > 0
			silent[a.Name] = silent[a.Name] || len(a.Expected) == 0
		}
	}
	for _, r := range rules.Groups[0].Rules {
		if !fires[r.Alert] || !silent[r.Alert] {
			t.Errorf("%s: there is an example in which it fires: %v, and one in which it does not: %v", r.Alert, fires[r.Alert], silent[r.Alert])
		}
	}
}

func readYAML(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

var metricName = regexp.MustCompile(`\buwgate_[a-z_]+`)

// The board and the alerts ask for metrics that exist, with labels that they have.
func TestQueries(t *testing.T) {
	known := map[string]*metric{}
	for i, m := range metrics {
		known["uwgate_"+m.name] = &metrics[i]
		if m.kind == timing {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				known["uwgate_"+m.name+part] = &metrics[i]
			}
		}
	}
	selector := regexp.MustCompile(`(uwgate_[a-z_]+)\{([^}]*)\}`)
	label := regexp.MustCompile(`([a-z]+)\s*(?:=~|!~|!=|=)`)
	for _, path := range []string{"../../deploy/grafana/uwgate.json", "../../deploy/prometheus/uwgate.rules.yml", "../../deploy/prometheus/uwgate.test.yml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(path) == ".json" && !json.Valid(text) {
			t.Errorf("%s is no JSON", path)
		}
		names := metricName.FindAllString(string(text), -1)
		if len(names) < 20 {
			t.Errorf("%s asks for %d metrics", path, len(names))
		}
		for _, name := range names {
			if known[name] == nil {
				t.Errorf("%s asks for %s, which does not exist", path, name)
			}
		}
		for _, m := range selector.FindAllStringSubmatch(strings.ReplaceAll(string(text), `\"`, `"`), -1) {
			has := map[string]bool{"instance": true, "job": true}
			if known[m[1]] != nil {
				for _, l := range known[m[1]].labels {
					has[l] = true
				}
			}
			for _, l := range label.FindAllStringSubmatch(m[2], -1) {
				if !has[l[1]] {
					t.Errorf("%s: %s has no label %s", path, m[0], l[1])
				}
			}
		}
	}
}

// A scrape stays small whatever visitors ask for, and with hundreds of servers.
func TestScrapeIsSmall(t *testing.T) {
	s := everything()
	for i := range 500 {
		s.pools = append(s.pools, poolStats{fmt.Sprintf("pool-of-a-site-%d", i), backend.PoolStats{}, []backend.NodeStats{{Name: fmt.Sprintf("unix:/run/uwsgi/app/site-%d/socket", i)}}})
	}
	r, nginx := startHits(t)
	for i := range 10_000 {
		line := `<190>Nov 30 17:45:00 uwgate: {"host":"h%d.example.com","uri":"/page/%d","status":"%d","bytes":"10","time":"0.002","addr":"127.0.0.1:11211","upstream":%q}`
		if _, err := fmt.Fprintf(nginx, line, i%300, i, 200+i%5*100, []string{"200", "404", "502"}[i%3]); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the lines are counted", func() bool { return r.Stats().Counted == 10_000 })
	stats := r.Stats()
	s.hits = &stats
	for range 20 {
		s.store = append(s.store, cachewriter.ServerStats{Addr: fmt.Sprintf("10.0.0.%d:11211", len(s.store)), Latency: s.store[0].Latency})
	}
	if n := len(scrape(s)); n > 1<<20 {
		t.Errorf("a scrape has %d bytes", n)
	}
}
