package parity

import (
	"errors"
	"testing"

	"uwgate/nginxconf"
)

func TestReaches(t *testing.T) {
	hosts := map[string][]string{"gate": {"10.0.0.7"}, "localhost": {"::1", "127.0.0.1"}}
	for _, tt := range []struct {
		listen, server string
		want           bool
	}{
		{"unix:/run/u.sock", "unix:/run/u.sock", true},
		{"/run/u.sock", "UNIX:///run/u.sock max_fails=0", true},
		{"unix:/run/u.sock", "unix:/run/app.sock", false},
		{"unix:/run/u.sock", "127.0.0.1:3030", false},
		{"@u", "unix:/u", false},
		{"127.0.0.1:3030", "unix:/run/u.sock", false},
		{"127.0.0.1:3030", "127.0.0.1:3030 backup", true},
		{"127.0.0.1:3030", "localhost:3030", true},
		{"127.0.0.1:3030", "127.0.0.1:3031", false},
		{"127.0.0.1:3030", "10.0.0.7:3030", false},
		{"[::1]:3030", "localhost:3030", true},
		{":3030", "10.0.0.7:3030", true},
		{"0.0.0.0:3030", "gate:3030", true},
		{"[::]:3030", "gate:3031", false},
		{"10.0.0.7:3030", "gate:3030", true},
		{"10.0.0.8:3030", "gate:3030", false},
		{"10.0.0.8:3030", "unknown:3030", true}, // nginx may know it
		{"10.0.0.8:80", "10.0.0.8", true},
	} {
		t.Run(tt.listen+" "+tt.server, func(t *testing.T) {
			k := &checker{resolved: map[string]resolution{}, g: Gateway{Listen: []string{tt.listen}, Resolve: func(host string) ([]string, error) {
				if ips, ok := hosts[host]; ok {
					return ips, nil
				}
				return nil, errors.New("no such host")
			}}}
			if got := k.reaches(nginxconf.Upstream{Servers: []nginxconf.UpstreamServer{{Text: "unix:/other.sock"}, {Text: tt.server}}}); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
