package admin

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A canary is announced, comes through nginx, and is told to whoever has announced it.
func TestCanaries(t *testing.T) {
	b := newBench(t, nil, says(page("hello")))
	const token = "0123456789abcdef"
	h := b.Handler()
	ln := listen(t, "unix")
	srv := &http.Server{Handler: h}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", ln.Addr().String())
	}}}
	announce := func(body string) int {
		t.Helper()
		resp, err := client.Post("http://uwgate/api/v1/canaries", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for body, want := range map[string]int{`{"token": "` + token + `"}`: 200, `{"token": "x"}`: 400, `{`: 400, `{"secret": 1}`: 400} {
		if got := announce(body); got != want {
			t.Errorf("%s: got %d, want %d", body, got, want)
		}
	}
	if got := b.get("/x-" + token); !strings.Contains(got, "detail=canary") {
		t.Errorf("got %q", got)
	}
	resp, err := client.Get("http://uwgate/api/v1/canaries/" + token)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var told Canaries
	if err := json.NewDecoder(resp.Body).Decode(&told); err != nil || len(told.Came) != 1 || told.Came[0].Policy.Key != "k:/x-"+token {
		t.Errorf("got %+v, %v", told, err)
	}
	other, err := client.Get("http://uwgate/api/v1/canaries/fedcba9876543210")
	if err != nil {
		t.Fatal(err)
	}
	other.Body.Close()
	if other.StatusCode != http.StatusGone {
		t.Errorf("an unknown token: got %d", other.StatusCode)
	}
}

// Over TCP only the token of the API opens it: who can announce canaries can take requests
// from the workers.
func TestCanariesAreGuarded(t *testing.T) {
	b := newBench(t, nil, says(page("hello")))
	b.Admin.Token = "secret-of-the-api"
	ask := serveAdmin(t, b.Admin, "tcp", "127.0.0.1:0")
	if status, _ := ask("/api/v1/canaries/0123456789abcdef", ""); status != http.StatusUnauthorized {
		t.Errorf("got %d", status)
	}
}
