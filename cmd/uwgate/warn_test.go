package main

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uwgate/cmd/uwgate/settings"
)

func TestWarnsOfKeyWithoutHost(t *testing.T) {
	tests := []struct {
		name  string
		flags []string
		want  string // in the warning; "": none
	}{
		{"handed over", nil, ""},
		{"with host", []string{"--key", "$scheme://$host$request_uri"}, ""},
		{"with the Host header", []string{"--key", "$http_host$request_uri"}, ""},
		{"with a name", []string{"--key", "http://www.example.com$request_uri"}, ""},
		{"without", []string{"--key", ":1:CUSTOMKEY:$request_uri"}, "makes up"},
		{"$server_name", []string{"--key", "$server_name$request_uri"}, "makes up"},
		{"one allowed", []string{"--key", ":1:CUSTOMKEY:$request_uri", "--allowed-host", "www.example.com"}, ""},
		{"a glob allowed", []string{"--key", ":1:CUSTOMKEY:$request_uri", "--allowed-host", "*.example.com"}, "several"},
		{"two allowed", []string{"--key", ":1:CUSTOMKEY:$request_uri", "--allowed-host", "a.example.com", "--allowed-host", "b.example.com"}, "several"},
	}
	for _, tt := range tests {
		s, err := readSettings(settings.ForServe(), append([]string{"--backend", "127.0.0.1:3031", "--memcached", "127.0.0.1:11211"}, tt.flags...)...)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := s.Parts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zap.WarnLevel)
		warnHost(parts, zap.New(core))
		got := ""
		for _, l := range logs.All() {
			got += l.Message
		}
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: warned %q, want %q", tt.name, got, tt.want)
		}
	}
}
