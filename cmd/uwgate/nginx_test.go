package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The command in the README prints a configuration. Integration runs the one that the
// README shows.
func TestReadmeCommand(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "    uwgate nginx --listen ")
	command, _, _ := strings.Cut("uwgate nginx --listen "+rest, " >")
	if !found {
		t.Fatal("the README has no `uwgate nginx --listen …`")
	}
	var out bytes.Buffer
	if err := newApp(strings.NewReader(""), &out, &out).Run(strings.Fields(command)); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	if !strings.Contains(out.String(), "server_name www.example.com;") {
		t.Errorf("%s printed\n%s", command, out.String())
	}
}

// A key without a host is printed with a warning, unless serve has --allowed-host.
func TestNginxWarnsOfKeys(t *testing.T) {
	for _, c := range []struct{ key, want string }{
		{":1:CUSTOMKEY:$request_uri", "has no host: a page for an invented host would be served to everybody, so nothing is stored; give serve --allowed-host www.example.com\n"},
		{"$server_name$request_uri", "has $server_name, which is the same for every requested host"},
		{":1:CUSTOMKEY:$request_uri --allowed-host www.example.com", ""},
	} {
		var out, warnings bytes.Buffer
		command := "uwgate nginx --listen unix:/run/uwgate.sock --memcached 127.0.0.1:11211 --server-name www.example.com --key " + c.key
		if err := newApp(strings.NewReader(""), &out, &warnings).Run(strings.Fields(command)); err != nil {
			t.Errorf("%s: %v", command, err)
		}
		if !strings.Contains(out.String(), "memcached_pass memcached;") || !strings.Contains(warnings.String(), c.want) || (c.want == "") != (warnings.String() == "") {
			t.Errorf("%s: got warnings %q, want %q", command, warnings.String(), c.want)
		}
	}
}

// A key that check would call an error is not printed.
func TestNginxRefusesKeys(t *testing.T) {
	for _, c := range []struct{ key, want string }{
		{"$request_method|$host$request_uri", "leave $request_method out"},
		{"$host$uri$args", "nothing is between $uri and $args"},
		{"$scheme://$host", "has no path"},
		{"$scheme://$host$request_uri", ""},
		{"$request_uri --allowed-host www.example.com", ""},
	} {
		for _, part := range []string{"all", "http"} {
			var out bytes.Buffer
			command := "uwgate nginx --listen unix:/run/uwgate.sock --memcached 127.0.0.1:11211 --server-name www.example.com --part " + part + " --key " + c.key
			err := newApp(strings.NewReader(""), &out, &out).Run(strings.Fields(command))
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%s: %v", command, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%s: got %v, want %q", command, err, c.want)
			}
		}
	}
}
