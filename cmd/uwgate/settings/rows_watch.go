package settings

import (
	"errors"
	"math"
	"path"
	"time"
)

// ForStatus returns the settings of `uwgate status`.
func ForStatus() *Set {
	return newSet([]row{onlyRow("show only the pools, servers, memcached servers and hosts with this name: a `GLOB`, as in shop-*"), allRow(), jsonRow("print one JSON object")}, allRows())
}

// ForTop returns the settings of `uwgate top`.
func ForTop() *Set {
	return newSet([]row{
		onlyRow("show only the pools, servers and hosts with this name: a `GLOB`, as in shop-*"),
		{name: "interval", kind: period(func(s *Settings) *time.Duration { return &s.Command.Watch.Interval }, atLeastTenth), defaults: []string{"2s"}, own: true,
			help: "ask the gateway again after this `TIME`"},
		{name: "count", kind: number(func(s *Settings) *int { return &s.Command.Watch.Count }, 0, math.MaxInt32, ""), defaults: []string{"0"}, own: true,
			help: "end after this `NUMBER` of intervals; 0 goes on until Ctrl-C"},
		jsonRow("print one JSON object for each interval"),
	}, allRows())
}

// ForReport returns the settings of `uwgate report`.
func ForReport() *Set {
	return newSet([]row{onlyRow("report only the hosts with this name: a `GLOB`, as in *.example.com"), allRow(), jsonRow("print one JSON object")}, allRows())
}

func onlyRow(help string) row {
	return row{name: "only", kind: texts("glob", func(s *Settings) *[]string { return &s.Command.Watch.Only }, checkGlob), own: true, help: help}
}

func allRow() row {
	return row{name: "all", kind: toggle(func(s *Settings) *bool { return &s.Command.Watch.All }), own: true, help: "print every row, and not only the first ones"}
}

func checkGlob(text string) error {
	if _, err := path.Match(text, ""); err != nil || text == "" {
		return errors.New("write a name, in which * stands for any characters, as in shop-*")
	}
	return nil
}

func atLeastTenth(d time.Duration) error {
	if d < 100*time.Millisecond {
		return errors.New("write a time of 100ms or more")
	}
	return nil
}
