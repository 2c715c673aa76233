package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"uwgate/gateway"
)

// The API says what is wrong with a request, and bounds how many there are.
func TestPurgeAPI(t *testing.T) {
	b := newBench(t, func(g *gateway.Gateway) { g.Purges.Rate = 1 }, nil)
	b.Token = "0123456789abcdef"
	ask := func(token, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/api/v1/purge", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, r)
		return w
	}
	for _, tt := range []struct {
		token, body string
		status      int
		says        string
	}{
		{"another", `{"all": true}`, http.StatusUnauthorized, "the token is missing or wrong"},
		{b.Token, `{"url": "http://example.com/"}`, http.StatusBadRequest, `unknown field "url"`},
		{b.Token, `{}`, http.StatusBadRequest, "nothing to purge is named"},
		{b.Token, `{"urls": ["/news/"]}`, http.StatusBadRequest, `"/news/" is no URL`},
		{b.Token, `{"all": true}`, http.StatusOK, `"status":"done"`},
	} {
		if w := ask(tt.token, tt.body); w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
			t.Errorf("%s: got %d %s, want %d %s", tt.body, w.Code, w.Body, tt.status, tt.says)
		}
	}
	w := ask(b.Token, `{"all": true}`)
	for range 20 {
		w = ask(b.Token, `{"all": true}`)
	}
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
		t.Errorf("too many: got %d %s", w.Code, w.Body)
	}
}
