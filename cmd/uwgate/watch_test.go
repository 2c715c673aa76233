package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway"
	"uwgate/gateway/admin"
	"uwgate/gateway/policy"
)

func shownStatus(t *testing.T, s *admin.Status, what settings.Watch) string {
	t.Helper()
	var b bytes.Buffer
	if err := writeStatus(&b, s, what); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// manyPools are 500 pools of two servers. The server b-77 is down, and the pool p-33 has a
// queue.
func manyPools() *admin.Status {
	s := &admin.Status{}
	for i := range 500 {
		p := admin.PoolStatus{Name: fmt.Sprintf("p-%d", i)}
		for _, letter := range []string{"a", "b"} {
			p.Servers = append(p.Servers, admin.ServerStatus{Name: fmt.Sprintf("%s-%d", letter, i), Up: true, Requests: uint64(i)})
		}
		s.Pools = append(s.Pools, p)
	}
	s.Pools[77].Servers[1].Up = false
	s.Pools[33].Waiting = 4
	return s
}

// With many pools the status is a page, what is wrong comes first, and --only and --all
// select rows.
func TestStatusOfManyPools(t *testing.T) {
	s := manyPools()
	text := shownStatus(t, s, settings.Watch{})
	if n := strings.Count(text, "\n"); n > 45 {
		t.Errorf("%d lines", n)
	}
	if !regexp.MustCompile(`backend \(1000, 1 down\).*\nb-77 +p-77 +down `).MatchString(text) || !strings.Contains(text, "and 980 more servers; --all prints them") || !regexp.MustCompile(`\np-33 +4 +0 +0\n`).MatchString(text) {
		t.Errorf("got\n%s", text)
	}
	if text = shownStatus(t, s, settings.Watch{Only: []string{"p-12?"}}); strings.Count(text, " p-12") != 20 || strings.Contains(text, "b-77") || strings.Contains(text, "p-33") {
		t.Errorf("--only: got\n%s", text)
	}
	if text = shownStatus(t, s, settings.Watch{All: true}); strings.Count(text, "  up ") != 999 || strings.Contains(text, "more servers") {
		t.Errorf("--all: %d are up", strings.Count(text, "  up "))
	}
}

// What an operator must not overlook stands at the top.
func TestStatusSaysWhatIsWrong(t *testing.T) {
	ratio := 0.876
	s := &admin.Status{
		Observe: true, Lost: 3, Reload: admin.ReloadStatus{Error: "--ttl: soon is no time"},
		Bounds: []admin.BoundStatus{{Setting: "spool-disk", Unit: "bytes", Used: 90, Limit: 100}, {Setting: "max-connections", Unit: "connections", Used: 1, Limit: 100}},
		Hits: admin.HitStatus{Source: admin.SourceNginx, Ratio: &ratio, Hits: 876, Misses: 124, Nginx: &admin.NginxStatus{
			Lines: map[string]uint64{"counted": 1000, "malformed": 5, "lost": 7},
			Hosts: []admin.HostStatus{{Host: "www.example.com", Ratio: &ratio, Requests: map[string]uint64{"hit": 876, "miss": 124}, Bytes: map[string]uint64{"hit": 20 << 20}, Seconds: map[string]float64{"hit": 0.876}}}}},
		Store:   []admin.StorageStatus{{Server: "m1", Up: true, Memcached: &admin.MemcachedStatus{Ratio: &ratio, Items: 12, Bytes: 50, Limit: 100}}, {Server: "m2", Error: "refused"}},
		Slowest: []gateway.SlowRequest{{Method: "GET", Host: "www.example.com", URI: "/\x1b[2J", Took: 1.234, Status: 200, Reason: policy.Cookie}},
	}
	text := shownStatus(t, s, settings.Watch{})
	for _, want := range []string{
		"--observe is in force: nothing is stored", "the settings were not reloaded", "--ttl: soon is no time", "3 log lines were dropped", "90 of 100 bytes are used: --spool-disk bounds them",
		"87.6 % of 1000 lookups (nginx's access log); 5 lines could not be used; 7 lines were lost", "20 MiB", "1ms", "50 % of 100 bytes", `"GET www.example.com/\x1b[2J"`, "1.23s",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q", want)
		}
	}
	if strings.Contains(text, "max-connections") || strings.Index(text, "\nm2 ") > strings.Index(text, "\nm1 ") || strings.Contains(text, "\x1b") {
		t.Errorf("got\n%s", text)
	}
	s.Hits = admin.HitStatus{}
	if text = shownStatus(t, s, settings.Watch{}); !strings.Contains(text, "hit ratio     not known") {
		t.Errorf("got\n%s", text)
	}
}

// A view is what happened between two looks, also if the gateway has restarted meanwhile.
func TestViewOf(t *testing.T) {
	look := func(hits, misses, requests, errors uint64) *admin.Status {
		return &admin.Status{
			Hits: admin.HitStatus{Source: admin.SourceNginx, Hits: hits, Misses: misses}, Requests: map[string]uint64{"2xx": requests, "5xx": errors}, Reasons: map[string]uint64{"cookie": requests, "vary": 1},
			Pools: []admin.PoolStatus{{Servers: []admin.ServerStatus{{Name: "a", Up: true, Requests: requests}, {Name: "b"}}}}, Store: []admin.StorageStatus{{Stored: requests / 2}},
		}
	}
	v := viewOf(look(100, 50, 10, 0), look(190, 60, 30, 4), 2*time.Second, time.Unix(0, 0), nil)
	if v.Hits != 45 || v.Misses != 5 || *v.Ratio != 0.9 || v.Requests != 12 || v.Errors != 2 || v.Stored != 5 || len(v.Reasons) != 1 || v.Reasons[0] != (rate{"cookie", 10}) ||
		v.Servers[0].Name != "b" || v.Servers[1].Rate != 10 {
		t.Errorf("got %+v", v)
	}
	if v = viewOf(look(100, 50, 10, 0), look(10, 10, 4, 0), 2*time.Second, time.Unix(0, 0), nil); v.Hits != 5 || v.Misses != 5 || *v.Ratio != 0.5 || v.Requests != 2 {
		t.Errorf("after a restart: got %+v", v)
	}
	if v = viewOf(&admin.Status{Hits: admin.HitStatus{Source: admin.SourceMemcached, Hits: 1}}, look(1000, 10, 4, 0), 2*time.Second, time.Unix(0, 0), nil); v.Ratio != nil {
		t.Errorf("of two sources: got %+v", v)
	}
	if v = viewOf(look(1, 1, 1, 0), look(1, 1, 1, 0), time.Second, time.Unix(0, 0), []string{"a"}); v.Ratio != nil || len(v.Servers) != 1 {
		t.Errorf("of nothing: got %+v", v)
	}
}

// A screen has no more lines than the terminal, and all tables if there is room.
func TestScreen(t *testing.T) {
	v := &view{Observe: true}
	for i := range 100 {
		v.Reasons = append(v.Reasons, rate{fmt.Sprint("reason-", i), 1})
		v.Servers = append(v.Servers, serverRate{Name: fmt.Sprint("server-", i), Pool: "default"})
		v.Pages = append(v.Pages, admin.PageStatus{Host: "www.example.com", URI: fmt.Sprint("/", i), Hits: 1})
	}
	for height := range 60 {
		lines := screenLines(v, height)
		if len(lines) > max(height, 1) {
			t.Errorf("%d lines of %d", len(lines), height)
		}
		all := strings.Join(lines, "\n")
		if height > 20 && !(strings.Contains(all, "reason-1") && strings.Contains(all, "server-1") && strings.Contains(all, "www.example.com/1") && strings.Contains(all, "--observe")) {
			t.Errorf("%d lines:\n%s", height, all)
		}
	}
	if got := cutTo("ab\x1bcé", 4); got != "ab?c" {
		t.Errorf("got %q", got)
	}
}

// The report says what to do, for what can be saved, and what it saves.
func TestReport(t *testing.T) {
	r := &admin.Report{Seconds: 3600, Savings: []gateway.Saving{
		{Host: "www.example.com", Reason: policy.Cookie, Requests: 900, Seconds: 75, Detail: "the request has the unknown cookie theme", Name: "theme", URL: "www.example.com/p"},
		{Host: "www.example.com", Reason: policy.HeaderLoss, Requests: 5, Seconds: 4, Fix: "--nginx-adds 'X-A: b'"},
		{Host: "www.example.com", Reason: policy.DefaultTTL, Requests: 10, Seconds: 20, Stored: true},
		{Host: "b.example", Reason: policy.Method, Requests: 7, Seconds: 1},
	}}
	var b bytes.Buffer
	if err := writeSavings(&b, advised(r, nil), false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"busy for 1m40s", "900 requests", "1m15s of workers", "75 % of all", "unknown cookie theme (www.example.com/p)", "--harmless-cookie theme", "--nginx-adds 'X-A: b'", "Nothing can be done about 7 other requests"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in\n%s", want, b.String())
		}
	}
	if got := advised(r, []string{"b.*"}); len(got.Savings) != 1 || !strings.HasPrefix(got.Savings[0].Advice, "nothing") {
		t.Errorf("--only: got %+v", got)
	}
}
