package policy_test

import (
	"bufio"
	"fmt"
	"strings"
	"time"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

func Example() {
	rules := &policy.Policy{
		Keys: policy.Keys{
			Servers:      func(addr string) bool { return addr == "10.0.0.1:11211" },
			AllowedHosts: []string{"www.example.com"}, // the key does not contain the host
		},
		Lifetimes: policy.Lifetimes{Default: 10 * time.Minute},
	}
	firewall := &policy.Firewall{}

	received := uwsgi.Vars{
		{Name: "REQUEST_METHOD", Value: "GET"},
		{Name: "REQUEST_URI", Value: "/news"},
		{Name: "PATH_INFO", Value: "/news"},
		{Name: "HTTP_HOST", Value: "www.example.com"},
		{Name: "CACHE_KEY", Value: ":1:site:/news"},
		{Name: "CACHE_STATUS", Value: "404"},
		{Name: "CACHE_SERVER", Value: "10.0.0.1:11211"},
		{Name: "HTTP_ACCEPT_ENCODING", Value: "gzip"},
		{Name: "HTTP_PROXY", Value: "http://evil.example"},
	}
	clean, dropped, err := firewall.Screen(received)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan := rules.Request(received)
	fmt.Println("dropped:", dropped)
	fmt.Println("request:", rules.ForWorker(clean, plan))

	const sent = "HTTP/1.1 200 OK\r\n" +
		"Content-Type: text/html; charset=utf-8\r\n" +
		"Content-Length: 5\r\n" +
		"Cache-Control: s-maxage=60\r\n\r\nhello"
	resp, err := uwsgi.ReadResponse(bufio.NewReader(strings.NewReader(sent)))
	if err != nil {
		fmt.Println(err)
		return
	}
	verdict := rules.Response(received, plan, resp, time.Now())
	fmt.Println("verdict:", verdict.Store(), verdict.TTL, verdict.Reason)
	fmt.Println("key:    ", plan.Key)

	resp.Header.Add("Set-Cookie", "sessionid=abc")
	verdict = rules.Response(received, plan, resp, time.Now())
	fmt.Println("verdict:", verdict.Store(), verdict.Reason)
	// Output:
	// dropped: [HTTP_PROXY]
	// request: [{REQUEST_METHOD GET} {REQUEST_URI /news} {PATH_INFO /news} {HTTP_HOST www.example.com}]
	// verdict: true 1m0s s-maxage
	// key:     :1:site:/news
	// verdict: false set-cookie
}
