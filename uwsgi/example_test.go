package uwsgi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"uwgate/uwsgi"
)

func Example() {
	var wire bytes.Buffer
	sent := &uwsgi.Request{Vars: uwsgi.Vars{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/hello?x=1"}}}
	if err := sent.Write(&wire); err != nil {
		fmt.Println(err)
		return
	}

	req, err := uwsgi.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(req.Vars.Get("REQUEST_METHOD"), req.Vars.Get("REQUEST_URI"))

	worker := bufio.NewReader(strings.NewReader("Status: 404 Not Found\nContent-Length: 6\n\nwhere?"))
	resp, err := uwsgi.ReadResponse(worker)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, resp.Header.Get("content-length"))

	body := resp.Body(worker, req.Vars.Get("REQUEST_METHOD"))
	io.Copy(os.Stdout, body)
	fmt.Println("", body.Whole())
	// Output:
	// GET /hello?x=1
	// 404 6
	// where? true
}

func ExampleReadRequest_malformed() {
	_, err := uwsgi.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\n\r\n")))
	fmt.Println(err)
	// Output:
	// uwsgi: modifier1 71 is not accepted (looks like HTTP: point uwsgi_pass, not proxy_pass, here) at byte 0
}
