package nginxconf_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
	"uwgate/nginxconf"
	"uwgate/nginxconf/nginxtest"
)

// servers are server blocks on two addresses of loopback. Each says its own line.
const servers = `server { listen ONE; listen unix:SOCKET; server_name example.com www.example.com; return 200 @; }
server { listen ONE default_server; server_name _; return 200 @; }
server { listen ONE; server_name *.example.com .example.net; return 200 @; }
server { listen ONE; server_name www.example.* ~^api\d+\.; return 200 @; }
server { listen ONE; server_name *.deep.example.com example.com; return 200 @; }
server { listen TWO; server_name first example.com; return 200 @; }
server { listen TWO; listen ONE; server_name MIXED.Example.org mail.*; return 200 @; }
server { listen ONE; server_name ~^api; server_name ""; return 200 @; }
server { listen TWO; server_name ~^ex ~^API; return 200 @; }
`

// ServerFor chooses the server block that a real nginx chooses.
func TestServerForAsNginx(t *testing.T) {
	program := nginxtest.Program(t)
	addrs, err := stack.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	dir := nginxtest.Frame(t, "", "")
	socket := filepath.Join(dir, "s")
	lines := strings.Split(servers, "\n")
	for i := range lines {
		lines[i] = strings.Replace(lines[i], "@", fmt.Sprint(i+1), 1)
	}
	site := strings.NewReplacer("ONE", addrs[0], "TWO", addrs[1], "SOCKET", socket).Replace(strings.Join(lines, "\n"))
	if err := os.WriteFile(filepath.Join(dir, "site.conf"), []byte(site), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := nginxconf.Read(filepath.Join(dir, "nginx.conf"), "")
	if err != nil {
		t.Fatal(err)
	}
	nginxtest.Start(t, program, dir, socket)
	for _, addr := range addrs {
		for _, host := range []string{
			"example.com", "EXAMPLE.com:8080", "example.com.", "other.org", "", "a.example.com", "a.deep.example.com", "deep.example.com",
			"example.net", "a.b.example.net", "xexample.net", "www.example.org", "www.example.co.uk", "www.example.", "api12.other.org", "api.other.org",
			"mixed.example.ORG", "mail.x", "mail", "first", "_", "[::1]:80", "exotic", "API", "10.0.0.1",
		} {
			got := 0
			if s := c.ServerFor(netip.MustParseAddrPort(addr), host); s != nil {
				got = s.Line
			}
			if want := ask(t, addr, host); fmt.Sprint(got) != want {
				t.Errorf("%q at %s: got the server of line %d, and nginx chooses %s", host, addr, got, want)
			}
		}
	}
}

// ask returns the body of nginx's response to a request for a host.
func ask(t *testing.T, addr, host string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if host == "" {
		fmt.Fprint(nc, "GET / HTTP/1.0\r\n\r\n")
	} else {
		fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
	}
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%q: %s %q, %v", host, resp.Status, body, err)
	}
	return string(body)
}
