package cachewriter

import (
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
)

func TestParseServer(t *testing.T) {
	tests := []struct {
		name, text string
		want       Server
	}{
		{"address", "10.0.0.1:11211", Server{Name: "10.0.0.1:11211"}},
		{"all that is ignored", " 10.0.0.1:11211 weight=2 max_fails=0 fail_timeout=5s max_conns=9 down ", Server{Name: "10.0.0.1:11211", Weight: 2, Down: true}},
		{"name without port", "Cache1", Server{Name: "Cache1"}},
		{"socket", "unix:/run/a:1 weight=3", Server{Name: "unix:/run/a:1", Weight: 3}},
		{"IPv6", "[::1]:11211", Server{Name: "[::1]:11211"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseServer(tt.text)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseServer(%q) = %+v, %v, want %+v", tt.text, got, err, tt.want)
			}
		})
	}
}

func TestParseServerRefuses(t *testing.T) {
	tests := []struct{ name, text, says string }{
		{"nothing", "  ", "no address"},
		{"backup", "a:1 backup", "backup"},
		{"resolve", "a:1 resolve", "CACHE_SERVER"},
		{"service", "a service=http", "CACHE_SERVER"},
		{"drain", "a:1 drain", "drain"},
		{"weight 0", "a:1 weight=0", "from 1 on"},
		{"weight -1", "a:1 weight=-1", "from 1 on"},
		{"weight beyond int32", "a:1 weight=9999999999", "from 1 on"},
		{"max_fails", "a:1 max_fails=x", "whole number"},
		{"fail_timeout", "a:1 fail_timeout=", "missing"},
		{"misspelt", "a:1 wieght=2", "unknown parameter"},
		{"down with a value", "a:1 down=1", "unknown parameter"},
		{"weight without", "a:1 weight", "unknown parameter"},
		{"semicolon", "a:1;", "port"},
		{"port 0", "a:0", "port"},
		{"port too large", "a:65536", "port"},
		{"port missing", "a:", "port"},
		{"host missing", ":11211", "host"},
		{"bare IPv6", "::1", "brackets"},
		{"IPv4 in brackets", "[10.0.0.1]:1", "IPv6"},
		{"bracket open", "[::1", "IPv6"},
		{"text after the bracket", "[::1]x", "port"},
		{"socket without path", "unix:", "path"},
		{"a path", "/run/a.sock", "unix:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseServer(tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("ParseServer(%q) = %+v, %v, want an error about %q", tt.text, got, err, tt.says)
			}
		})
	}
}

func TestParseAddr(t *testing.T) {
	tests := []struct{ text, want string }{
		{"10.0.0.1", "10.0.0.1:11211"},
		{"10.0.0.1:80", "10.0.0.1:80"},
		{"10.0.0.1:00080", "10.0.0.1:80"},
		{"[::1]", "[::1]:11211"},
		{"[FE80::0:1]:11211", "[fe80::1]:11211"},
		{"Cache-1_a.Example", "cache-1_a.example:11211"},
		{"UNIX:/run/A.sock", "unix:/run/A.sock"},
		{"unix:/run/a:1", "unix:/run/a:1"},
		{"@memcached", "@memcached"},
		{"unix:@memcached", "@memcached"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := parseAddr(tt.text)
			if err != nil || got != tt.want {
				t.Errorf("parseAddr(%q) = %q, %v, want %q", tt.text, got, err, tt.want)
			}
		})
	}
}

// deadResolver fails the test's lookups at the first step.
func deadResolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server here")
	}}
}

func TestResolve(t *testing.T) {
	tests := []struct {
		name string
		in   Server
		want []string
	}{
		{"given", Server{Name: "pool", Addrs: []string{"10.0.0.1:1", "10.0.0.2:1"}}, []string{"10.0.0.1:1", "10.0.0.2:1"}},
		{"IPv4", Server{Name: "10.0.0.1"}, []string{"10.0.0.1:11211"}},
		{"IPv6", Server{Name: "[::1]:5"}, []string{"[::1]:5"}},
		{"socket", Server{Name: "unix:/run/a"}, []string{"unix:/run/a"}},
		{"abstract socket", Server{Name: "@a"}, []string{"@a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.in.Resolve(t.Context(), deadResolver())
			if err != nil || !reflect.DeepEqual(got.Addrs, tt.want) || got.Name != tt.in.Name {
				t.Errorf("Resolve = %+v, %v, want addresses %q", got, err, tt.want)
			}
		})
	}
	t.Run("name", func(t *testing.T) {
		got, err := Server{Name: "localhost:7"}.Resolve(t.Context(), nil)
		if err != nil || len(got.Addrs) == 0 {
			t.Fatalf("Resolve(localhost:7) = %+v, %v", got, err)
		}
		for _, addr := range got.Addrs {
			if addr != "127.0.0.1:7" && addr != "[::1]:7" {
				t.Errorf("localhost:7 has the address %q", addr)
			}
		}
	})
	t.Run("name that is none", func(t *testing.T) {
		_, err := Server{Name: "cache.example.test:11211"}.Resolve(t.Context(), deadResolver())
		if err == nil || !strings.Contains(err.Error(), "cache.example.test") {
			t.Errorf("err = %v, want one that names the server", err)
		}
	})
}

func FuzzParseServer(f *testing.F) {
	f.Add("10.0.0.1:11211 weight=2 max_fails=0 down")
	f.Add("[::1]:11211")
	f.Add("unix:/run/a:1")
	f.Add("@abstract")
	f.Add("name backup")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseServer(text)
		if err != nil {
			return
		}
		addr, err := parseAddr(s.Name)
		if err != nil {
			t.Fatalf("ParseServer(%q) took the address %q: %v", text, s.Name, err)
		}
		if again, err := parseAddr(addr); err != nil || again != addr {
			t.Errorf("canonical address %q becomes %q, %v", addr, again, err)
		}
		s.Weight = min(s.Weight, 3)
		r, err := NewRing(Consistent, s)
		if err != nil || !r.Has(s.Name) || !r.Has(addr) {
			t.Errorf("ring of %+v: %v", s, err)
		}
	})
}
