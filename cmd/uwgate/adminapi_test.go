package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway"
)

func TestAdminAPISaysWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   string // "": it is read
	}{
		{"an explanation", 200, `{"policy":{"verdict":{"store":true}},"later":1}`, ""},
		{"another service", 404, "404 page not found\n", "there is no /api/v1/explain: is it the --admin address"},
		{"another service's page", 200, "<html>", "the response is not that of /api/v1/explain: invalid character"},
		{"no token", 401, "the token is missing\n", "--admin a:1: the token is missing; give the same --admin-token here"},
		{"no vars", 400, "the request has no vars\n", "the gateway responds 400 Bad Request: the request has no vars"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := &http.Response{StatusCode: tt.status, Status: "400 Bad Request", Body: io.NopCloser(strings.NewReader(tt.body))}
			e := &gateway.Explanation{}
			err := adminAPI{Control: settings.Control{Admin: settings.Address{Text: "a:1"}}}.read(resp, "/api/v1/explain", e)
			switch {
			case tt.want == "" && (err != nil || !e.Policy.Verdict.Store):
				t.Errorf("got %+v, %v; want it stored", e, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
