//go:build linux

package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSpending(t *testing.T) {
	all := results{
		fastRouter: {{cpu: 44 * time.Microsecond, system: 40 * time.Microsecond}},
		uwgate:     {{cpu: 80 * time.Microsecond, system: 50 * time.Microsecond}},
		netRelay:   {{cpu: 40 * time.Microsecond, system: 35 * time.Microsecond}},
	}
	where := map[string]split{
		uwgate:   {"read(2)": 0.25, catPolicy: 0.25, catGateway: 0.375, catLog: 0.125},
		netRelay: {"read(2)": 0.75, catScheduling: 0.25},
	}
	tr := &trial{name: "pages", among: []string{fastRouter, uwgate}}
	const want = "" +
		"| target     | CPU per request | user    | system  |\n" +
		"| ---        | ---             | ---     | ---     |\n" +
		"| FastRouter | 44.0 µs         | 4.00 µs | 40.0 µs |\n" +
		"| uwgate     | 80.0 µs         | 30.0 µs | 50.0 µs |\n" +
		"| bare relay | 40.0 µs         | 5.00 µs | 35.0 µs |\n" +
		"\n" +
		"| µs a request           | uwgate | bare relay | difference |\n" +
		"| ---                    | ---    | ---        | ---        |\n" +
		"| gateway                | 30.0   | 0.0        | 30.0       |\n" +
		"| policy                 | 20.0   | 0.0        | 20.0       |\n" +
		"| read(2)                | 20.0   | 30.0       | -10.0      |\n" +
		"| log                    | 10.0   | 0.0        | 10.0       |\n" +
		"| scheduling and waiting | 0.0    | 10.0       | -10.0      |\n" +
		"| all                    | 80.0   | 40.0       | 40.0       |\n" +
		"\n" +
		"uwgate takes 40.0 µs more than the bare relay. Most of it, in µs: 30.0 gateway, 20.0 policy, 10.0 log.\n" +
		"It takes 36.0 µs more than FastRouter: 10.0 in the kernel, and 26.0 outside.\n"
	if got := tr.explain(all, where).text; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	all[netRelay][0].failure = errors.New("closed")
	if got, want := tr.explain(all, where).text, want+"But bare relay failed requests, which cost it nothing.\n"; got != want {
		t.Errorf("with failures: got\n%s\nwant\n%s", got, want)
	}
	if got := tr.explain(all, nil); got.text != "" {
		t.Errorf("without a profile: got %q", got.text)
	}
}

func TestSpendingLess(t *testing.T) {
	if got := mostOfIt(spent{catGateway: 1000}, spent{catRelay: 3000}); got != "uwgate takes 2.0 µs less than the bare relay.\n" {
		t.Errorf("got %q", got)
	}
	all := results{uwgate: {{cpu: 40}}, fastRouter: {{cpu: 50}}}
	if got := beside(all); got != "" {
		t.Errorf("less than FastRouter: got %q", got)
	}
	if got := asMicros(-4); got != "0.0" {
		t.Errorf("next to nothing: got %q", got)
	}
}

func TestCarried(t *testing.T) {
	tr := &trial{name: "busy", among: []string{fastRouter, uwgate}, share: 0.7}
	sampleOf := func(cpu time.Duration) []sample {
		return []sample{{offered: 10000, rate: 9000, cpu: cpu, load: 40 * time.Microsecond, worker: 20 * time.Microsecond}}
	}
	for _, tt := range []struct {
		name string
		cpu  time.Duration
		want []string
	}{
		{"room", 80 * time.Microsecond, []string{
			"| uwgate               | 10000/s | 9000/s | 40 %   | 20 %      | 10 %   | 70 %      |\n",
			"With uwgate this load takes 70 % of 2 cores: 30 % is left for everything else.\n",
		}},
		{"none", 150 * time.Microsecond, []string{
			" | 75 %   | 20 %      | 10 %   | 105 %     |\n",
			"With uwgate this load takes 105 % of 2 cores: that is more than the machine has, so requests wait longer and longer.\n",
		}},
	} {
		got := tr.carried(results{fastRouter: sampleOf(50 * time.Microsecond), uwgate: sampleOf(tt.cpu)}, 2)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got\n%s\nwithout %q", tt.name, got, want)
			}
		}
	}
}
