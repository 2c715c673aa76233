//go:build linux

package main

import (
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestPlot(t *testing.T) {
	all := []series{
		{"stores <a second>", []point{{10, 90 * time.Microsecond}, {100, 45 * time.Microsecond}, {1000, 0}}},
		{"pools", []point{{1, 10 * time.Microsecond}, {1, 20 * time.Microsecond}}},
	}
	text := plot(all)
	var circles [][2]float64
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "circle" {
			circles = append(circles, [2]float64{attr(start, "cx"), attr(start, "cy")})
		}
	}
	want := [][2]float64{
		{marginLeft, marginTop}, {marginLeft + plotWidth/2, marginTop + plotHeight/2}, {marginLeft + plotWidth, marginTop + plotHeight},
	}
	for i, at := range want {
		if circles[i] != at {
			t.Errorf("point %d is at %v, want %v", i, circles[i], at)
		}
	}
	if len(circles) != 5 {
		t.Errorf("%d points, want 5", len(circles))
	}
}

func attr(e xml.StartElement, name string) float64 {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			n, _ := strconv.ParseFloat(a.Value, 64)
			return n
		}
	}
	return -1
}

func TestScaleTop(t *testing.T) {
	for _, tt := range []struct {
		cpu  time.Duration
		want float64
	}{{90 * time.Microsecond, 90}, {91 * time.Microsecond, 100}, {640 * time.Microsecond, 700}, {0, 1}} {
		if got := scaleTop([]series{{"", []point{{1, tt.cpu}}}}); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.cpu, got, tt.want)
		}
	}
}
