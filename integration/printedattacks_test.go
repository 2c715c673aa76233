package integration

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// Requests of a stranger who wants others to get a wrong page of /page, each a whole head.
var attacks = []string{
	"GET /page HTTP/1.0\r\n\r\n",
	"GET /page HTTP/1.0\r\nHost: evil.example\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example:81\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: SHOP.EXAMPLE\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example.\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example:@evil.example\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: evil.example/page\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nHost: evil.example\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: evil.example\r\nHost: shop.example\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost:\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Host: evil.example\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Proto: https\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Proto: HTTPS\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Proto: https, http\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Proto:  https\t\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Proto: ftp\r\n\r\n",
	"GET http://evil.example/page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET http://shop.example/page HTTP/1.1\r\nHost: evil.example\r\n\r\n",
	"GET https://shop.example/page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET http://shop.example?page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET http://evil.example#@shop.example/page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET //page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /./page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /x/../page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /%70age HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /page%00 HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /page%0d%0aset%20x HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /page#x?y HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /page?x#y HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /page%3Fx HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /page%2F.. HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nCookie: _ga=1\r\nCookie: sessionid=eve\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\ncookie: SESSIONID = eve\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nCookie: a=\"; sessionid=eve\"\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nAuthorization:\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nAuthorization: x\r\nAuthorization:\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nRange: bytes=0-1\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nIf-None-Match: *\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nTE: trailers\r\nTrailer: X\r\nConnection: TE\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX-HTTP-Method-Override: DELETE\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX-Original-URL: /admin\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX-Rewrite-URL: /admin\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HEAD /page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"get /page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"TRACE /page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nCACHE-KEY: http://shop.example/page\r\nCACHE-STATUS: 404\r\n\r\n",
	"GET /page HTTP/1.1\r\nHost: shop.example\r\nX_Forwarded_Host: evil.example\r\n\r\n",
	"GET /uwgate-memc?http://shop.example/page HTTP/1.1\r\nHost: shop.example\r\n\r\n",
	"GET /page\r\n",
}

// No request of a stranger changes what others get, be it the first one or not.
func TestPrintedUnderAttack(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "http"} {
		for _, args := range [][]string{{}, {"--trust-forwarded-proto"}} {
			t.Run(format+strings.Join(args, ""), func(t *testing.T) {
				t.Parallel()
				p := startPrinted(t, stack.Config{Format: format, Args: args})
				for _, proto := range []string{"", "X-Forwarded-Proto: https\n"} {
					for _, attack := range attacks {
						p.withstands(attack, strings.TrimSuffix(host+"\n"+proto, "\n"))
					}
				}
			})
		}
	}
}

// uniquePage numbers pages.
var uniquePage atomic.Int64

// withstands sends the attack before and after the page of strangers is cached.
func (p *printed) withstands(attack, lines string) {
	p.t.Helper()
	target := fmt.Sprintf("/page%d", uniquePage.Add(1))
	attack = strings.ReplaceAll(attack, "/page", target)
	want := p.fetchFrom(p.direct, "GET", target, lines)
	for _, when := range []string{"cold", "warm"} {
		p.send(p.Nginx.Addr, attack)
		p.settle()
		victim := p.fetch("GET", target, lines)
		p.settle()
		if victim.err != nil || victim.status != 200 || shown(victim) != shown(want) {
			p.t.Errorf("%s: after %q others got\n%d %q, %v, want\n%q", when, attack, victim.status, shown(victim), victim.err, shown(want))
		}
	}
}

// send sends the bytes of a request, and no more.
func (p *printed) send(addr, request string) page {
	p.t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		p.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, strings.Replace(request, "\r\nHost", "\r\nConnection: close\r\nHost", 1))
	method, _, _ := strings.Cut(request, " ")
	return readPage(nc, method)
}

// The site has TLS, HTTP/2 and a proxy in front, which says what its visitors use.
func TestPrintedInFront(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			cert, key := certificate(t, shortDir(t), "site")
			secure, front := freeAddr(t), freeAddr(t)
			p := startPrinted(t, stack.Config{
				Format: format, Args: []string{"--trust-forwarded-proto"}, NginxArgs: []string{"--nginx-listen", secure + " ssl http2"},
				Edits: [][2]string{{"    location / {", "    ssl_certificate " + cert + "; ssl_certificate_key " + key + ";\n    set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;\n    location / {"}},
				Site: `
server {
    listen ` + front + `;
    location / {
        proxy_pass https://` + secure + `;
        proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto http;
    }
}
`,
			})
			https := p.over2(secure, "/page", "shop.example", "")
			if !strings.Contains(https.body, "Scheme https") || !strings.Contains(https.body, "HTTP_HOST=shop.example<") {
				t.Errorf("over TLS: got %d %q, %v", https.status, https.body, https.err)
			}
			p.settle()
			if again := p.over2(secure, "/page", "shop.example", ""); again.body != https.body {
				t.Errorf("over TLS: no hit, %q, %v", again.body, again.err)
			}
			p.over2(secure, "/other", "shop.example", "evil.example")
			p.settle()
			if got := p.over2(secure, "/other", "shop.example", ""); strings.Contains(got.body, "evil") || got.status != 200 {
				t.Errorf("after a request with another Host: got %d %q, %v", got.status, got.body, got.err)
			}
			// The proxy says that its visitors use http, though it uses https itself.
			for _, target := range []string{"/page", "/page", "/cold"} {
				if got := p.fetchFrom(front, "GET", target, host); got.status != 200 || !strings.Contains(got.body, "Scheme http http<") {
					t.Errorf("%s through the proxy: got %d %q, %v", target, got.status, got.body, got.err)
				}
			}
		})
	}
}

// over2 sends a GET over HTTP/2, with a Host line unless that is empty.
func (p *printed) over2(addr, target, authority, line string) page {
	p.t.Helper()
	args := []string{"-sk", "-i", "--http2", "--raw", "--max-time", "60", "--connect-to", "::" + addr, "https://" + authority + target}
	if line != "" {
		args = append(args, "-H", "Host: "+line)
	}
	out, err := exec.Command("curl", args...).Output()
	if err != nil {
		return page{err: err}
	}
	head, body, _ := strings.Cut(string(out), "\r\n\r\n")
	status := 0
	fmt.Sscanf(head, "HTTP/2 %d", &status)
	return page{status: status, body: body}
}
